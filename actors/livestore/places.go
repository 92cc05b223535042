package livestore

import "unsafe"

// places keeps values at places, which are numbers from 1 on. A value stays where it is; the place
// of one that was dropped is given to another.
type places[T any] struct {
	chunks []*[placesOfChunk]T
	last   int32 // the highest place ever given
	free   []int32
}

const placesOfChunk = 1 << 10

// at returns the value at a place. The pointer stays good until the value is dropped.
func (p *places[T]) at(place int32) *T {
	return &p.chunks[(place-1)/placesOfChunk][(place-1)%placesOfChunk]
}

// add gives v a place.
func (p *places[T]) add(v T) (place int32) {
	if n := len(p.free); n > 0 {
		place = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		if int(p.last) == len(p.chunks)*placesOfChunk {
			p.chunks = append(p.chunks, new([placesOfChunk]T))
		}
		p.last++
		place = p.last
	}
	*p.at(place) = v
	return place
}

// drop gives a place back. Its value becomes the zero value.
func (p *places[T]) drop(place int32) {
	var zero T
	*p.at(place) = zero
	p.free = append(p.free, place)
}

// trim gives the memory back if there are no values.
func (p *places[T]) trim() {
	if p.len() == 0 {
		*p = places[T]{}
	}
}

// len returns the number of values.
func (p *places[T]) len() int { return int(p.last) - len(p.free) }

// bytes returns how much memory the values take, in bytes.
func (p *places[T]) bytes() int64 {
	var v T
	return int64(len(p.chunks))*placesOfChunk*int64(unsafe.Sizeof(v)) + int64(cap(p.free))*4
}
