// Package live keeps the newest spans of one tenant in one partition in memory, in columns, so that
// queries find them as they arrive.
//
// # Idea
//
// A Segment takes records of the log in order and appends their spans, in order of arrival, to
// append-only arrays. One goroutine writes it. Readers get a Snapshot: copies of the arrays'
// headers, which see the elements that there were when it was taken. A reader therefore neither
// waits for the writer nor races with it, and the writer never copies data for a reader.
//
// A snapshot is a column.Table, like a row group of a block, so one evaluation serves both.
//
// # Five rows
//
// Two records with five spans of two traces. The first three spans came under one resource and
// scope, the fourth under another resource, the fifth, in the next record, under the first again.
//
//	row  trace  id  parent  start  duration  head  name       shape
//	 0   0      a1  -       1000   90        0     GET /cart  1 2    ┐
//	 1   0      a2  a1      1010   20        1     SELECT     3      ├ run 0
//	 2   1      b1  -       1015   40        0     GET /pay   1 2    ┘
//	 3   0      a3  a1      1040   30        1     charge     -        run 1
//	 4   1      b2  b1      1020   5         1     SELECT     3        run 2
//
//	records   0 = {offset 70, row 0}, 1 = {offset 71, row 4}
//	runs      0 = {row 0, resource 0, record 0}, 1 = {row 3, resource 1, record 0},
//	          2 = {row 4, resource 0, record 1}
//	traces    0 = 4bf9…, first in row 0; 1 = c07a…, first in row 2
//	heads     0 = {kind server, no parent}, 1 = {kind client, a parent}
//	columns   1 = http.route   rows 0 2   values /cart /pay
//	          2 = http.status  rows 0 2   values 200 500
//	          3 = db.system    rows 1 4   values mysql mysql
//
// Whatever every span has is an array with an element for each row. Small numbers that few spans
// have differently (kind, status, flags) are one number, the head. Attributes are sparse columns:
// the rows that have a value, and the values. The shape of a row lists its columns in the order in
// which its attributes were sent; 0 stands for the next attribute of its overflow. What spans were
// sent under is kept once for a run of rows.
//
// # Invariants
//
//   - Elements are written once. Only truncate lets an element be written again: it takes back a
//     record that could not be appended whole, and no snapshot was taken in between.
//   - A snapshot sees no hash table. Those are the writer's, and Seal drops them.
//   - All arrays with an element for each row have the same length between two records. Rows of a
//     sparse column, of runs and of records ascend, and so do the first rows of traces.
//   - Hash tables may name rows, traces or columns that were taken back. Whoever looks something up
//     compares it with the arrays.
//   - A trace's rows may lie anywhere, because spans lie in order of arrival; TimeOrdered is false.
//   - A span that the segment has already (same ids, times, content, resource and scope) is not
//     appended, only counted.
package live
