"""Hard negatives for prepared groups: what an encoder ranks high and does not answer.

config     how many, out of what depth, and what is too good to be a negative
corpus     the distinct passages of all groups, and which of them answer which group
mine       groups and an encoder -> the same groups with negatives
"""
