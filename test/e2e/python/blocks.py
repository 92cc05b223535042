"""Opens every Parquet file below a folder with pyarrow and with DuckDB and prints, as JSON, what each of them says.

Usage: blocks.py FOLDER
The two must agree with each other, column by column: rows, nulls, distinct values, sums, minima and maxima.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

files = {"spans.parquet": 0, "events.parquet": 0, "links.parquet": 0, "attributes.parquet": 0}
columns = set()
checked = 0
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.parquet")):
    table = pq.read_table(path, use_threads=False)
    parquet = pq.ParquetFile(path)
    groups = sum(parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups))
    assert table.num_rows == parquet.metadata.num_rows == groups, f"{path}: {table.num_rows} rows, footer {parquet.metadata.num_rows}, groups {groups}"
    files[path.name] += table.num_rows
    con = duckdb.connect()
    con.execute(f"create view t as select * from read_parquet('{path}')")
    assert con.execute("select count(*) from t").fetchone()[0] == table.num_rows, path
    for name in table.column_names:
        quoted = '"' + name.replace('"', '""') + '"'
        values = table.column(name)
        if pa.types.is_timestamp(values.type):  # Python has no times of nanoseconds
            quoted, values = f"epoch_ns({quoted})", values.cast(pa.int64())
        present, distinct = con.execute(f"select count({quoted}), count(distinct {quoted}) from t").fetchone()
        want = (len(values) - values.null_count, pc.count_distinct(values, mode="only_valid").as_py())
        assert (present, distinct) == want, f"{path} column {name}: duckdb {(present, distinct)}, pyarrow {want}"
        if present and pc.min_max(values)["min"].as_py() is not None:
            low, high = con.execute(f"select min({quoted}), max({quoted}) from t").fetchone()
            mm = pc.min_max(values).as_py()
            same = [bytes(v) if isinstance(v, (bytes, bytearray, memoryview)) else v for v in (low, high)]
            want = [mm["min"], mm["max"]]
            if not any(isinstance(v, float) and v != v for v in want):
                assert same == want, f"{path} column {name}: duckdb {same}, pyarrow {want}"
        columns.add(name)
        checked += 1
print(json.dumps({"rows": files, "columns": len(columns), "checked": checked}))
