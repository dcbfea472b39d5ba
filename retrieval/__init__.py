"""What a retriever is and how good it is: data sets, groups, encoders, exact ranks, measures, reports."""
