package objstore

import (
	"sync"
	"time"
)

// allowance is how many extra requests may be sent: a share of the ordinary ones, and a few more as
// time passes. An extra request is one that an ordinary one has caused, such as a retry; without a
// bound these would be what keeps a store in trouble down. It is safe for concurrent use.
type allowance struct {
	share     float64 // earned by each ordinary request
	perSecond float64 // earned by the passing of time
	most      float64 // saved at most

	mu      sync.Mutex
	left    float64
	counted time.Time // until when the passing of time has been counted
}

// newAllowance makes an allowance that begins full.
func newAllowance(share, perSecond, most float64) *allowance {
	return &allowance{share: share, perSecond: perSecond, most: most, left: most}
}

// earn notes an ordinary request.
func (a *allowance) earn(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(now, a.share)
}

// spend takes one extra request, and returns false if there is none left.
func (a *allowance) spend(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(now, 0)
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}

// add adds what was earned, and what time has brought since the last call.
func (a *allowance) add(now time.Time, earned float64) {
	if !a.counted.IsZero() {
		earned += a.perSecond * max(now.Sub(a.counted), 0).Seconds()
	}
	a.counted = now
	a.left = min(a.left+earned, a.most)
}
