"""Files in, records out: what several data sets share. Every error names the file and the place in it.

record.py     one record, whose fields are read with checks
lines.py      lines of a text file, plain or gzipped
columns.py    tab-separated or TREC columns, one record a line -> records
numbered.py   lines that begin with their number, by number, without holding their texts
jsonl.py      one JSON object a line -> records
parquet.py    columns of a Parquet file -> records
archives.py   what damaged zip and tar archives raise
arrays.py     arrays in .npy files
squad.py      SQuAD JSON -> paragraphs with questions
parallel.py   `paragraphs.<language>` and `questions.<language>` files with shared ids -> texts of one language
"""
