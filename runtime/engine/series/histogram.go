package series

import "math"

// bucket is how many integers up to a power of two and above the one before occurred. The code is
// the exponent, 1 to 63.
type bucket struct {
	code  uint8
	count float64
}

// bucketBound returns the upper bound of a bucket in the unit that is shown: 1, or 1e9 ns.
func bucketBound(code uint8, unit float64) float64 { return math.Exp2(float64(code)) / unit }

// interpolateQuantile returns the value below which the part p of the values of buckets, ascending, lies.
// Between the bounds of a bucket it is interpolated on the logarithm; the lower bound is the one of
// the bucket before that is not empty. Source: language specification §12.6.
func interpolateQuantile(buckets []bucket, p, unit float64) float64 {
	total := 0.0
	for _, b := range buckets {
		total += b.count
	}
	if total == 0 {
		return 0
	}
	k := max(1, math.Ceil(p*total))
	before := 0.0
	for i, b := range buckets {
		sum := before + b.count
		if sum < k {
			before = sum
			continue
		}
		hi := float64(b.code)
		lo := hi - 1
		if i > 0 {
			lo = float64(buckets[i-1].code)
		}
		return math.Exp2(lo+(hi-lo)*((k-before)/b.count)) / unit
	}
	return bucketBound(buckets[len(buckets)-1].code, unit)
}
