"""One model out of many, in weight space: averages while training and afterwards, and what they need to be right."""
