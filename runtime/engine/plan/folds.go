package plan

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// Fold is some scans of blocks whose results are kept as one. Blocks never change, so the same
// question to the same blocks has the same result.
type Fold struct {
	Name  string // of the question: no other one has it
	Scans []Scan
}

// foldBlocks is how many neighbouring blocks make a fold, on average.
const foldBlocks = 16

// foldScans divides scans into folds, and those that are not worth one. Live parts are none. A fold
// ends where the id of a block says so, wherever in the list the block is: a plan of another time
// has the same folds over the blocks that both have.
func foldScans(list []Scan) (folds []Fold, rest []Scan) {
	var whole, clipped []Scan
	for _, s := range list {
		switch {
		case s.Block == nil:
			rest = append(rest, s)
		case isWhole(s.Block):
			whole = append(whole, s)
		default:
			clipped = append(clipped, s)
		}
	}
	for _, list := range [][]Scan{whole, clipped} { // whole ones ask the same in the next minute, too
		for len(list) > 0 {
			n := 1
			for n < len(list) && !beginsFold(list[n].Block) {
				n++
			}
			if n == 1 {
				rest = append(rest, list[0])
			} else {
				folds = append(folds, Fold{Name: nameFold(list[:n]), Scans: list[:n:n]})
			}
			list = list[n:]
		}
	}
	return folds, rest
}

// isWhole reports whether a block lies inside the range of its scan.
func isWhole(j *jobs.BlockScanJob) bool {
	start, end := j.Scan.Range()
	return start < j.Block.GetMinStartUnixNano() && end >= j.Block.GetMaxEndUnixNano()
}

// beginsFold reports whether a fold begins with this part, which is the first of its block in a
// plan.
func beginsFold(j *jobs.BlockScanJob) bool {
	return j.Part == max(j.Parts, 1)-1 && xxhash.Sum64String(j.Block.GetId())%foldBlocks == 0
}

// nameFold names what scans ask: the question, and for each scan the part of its block, the range
// there, and the traces that it leaves out.
func nameFold(list []Scan) string {
	first := list[0].Block
	name := append([]byte(first.Block.GetTenant()), 1)
	name = append(append(name, first.Key...), 0)
	for _, s := range list {
		start, end := s.Block.Scan.ClippedTo(s.Block.Block).Range()
		name = append(append(name, s.Block.Block.GetId()...), 0)
		for _, n := range []uint64{uint64(s.Block.Part), uint64(s.Block.Parts), start, end, s.Block.Print} {
			name = binary.AppendUvarint(name, n)
		}
	}
	return string(name)
}
