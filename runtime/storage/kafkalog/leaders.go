package kafkalog

import (
	"slices"
	"sync"
)

// leaders is what is known of the partitions under their present leaders. Another leader may have
// another history, so all of it counts under one leader epoch only.
type leaders struct {
	mu        sync.Mutex
	confirmed map[int32]int32        // by partition: the epoch in which the end was confirmed
	prints    map[int32][]knownPrint // by partition, oldest first
}

// knownPrint is a fingerprint that the brokers have told under one leader.
type knownPrint struct {
	offset int64
	leader int32 // epoch
	print  Fingerprint
}

// printsKept is how many fingerprints of a partition are kept: those of the covered offset, of the
// cut that is being published, and some before.
const printsKept = 4

func newLeaders() leaders {
	return leaders{confirmed: map[int32]int32{}, prints: map[int32][]knownPrint{}}
}

func (l *leaders) isConfirmed(partition, leader int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.confirmed[partition]
	return ok && known == leader
}

func (l *leaders) confirm(partition, leader int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.confirmed[partition] = leader
}

func (l *leaders) findPrint(partition int32, offset int64, leader int32) (Fingerprint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.prints[partition] {
		if k.offset == offset && k.leader == leader {
			return k.print, true
		}
	}
	return Fingerprint{}, false
}

func (l *leaders) addPrint(partition int32, k knownPrint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.prints[partition]
	if len(list) >= printsKept {
		list = slices.Delete(list, 0, 1)
	}
	l.prints[partition] = append(list, k)
}

// forgetAll forgets everything, because the topic is another one.
func (l *leaders) forgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.confirmed)
	clear(l.prints)
}
