"""Runs the SQL of a page against a bucket's folder and prints, as JSON, the rows of each query that gives some.

Usage: sql.py PAGE FOLDER
The page's blocks of SQL run in their order, with FOLDER in the place of data/blocks.
"""

import json
import re
import sys

import duckdb

page, folder = sys.argv[1:]
con = duckdb.connect()
answers = []
for text in re.findall(r"```sql\n(.*?)```", open(page).read(), re.S):
    result = con.execute(text.replace("data/blocks", folder))
    if not text.lstrip().startswith("create"):
        names = [column[0] for column in result.description]
        answers.append([dict(zip(names, row)) for row in result.fetchall()])
print(json.dumps(answers))
