package fleet

import "math"

const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of splitmix64: a bijection of 64 bits that looks random.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// unit makes a uniform number in (0, 1) of the upper bits.
func unit(x uint64) float64 { return (float64(x>>11) + 0.5) / (1 << 53) }

// source is a stream of random numbers (splitmix64). Its draws depend on
// nothing but its seed.
type source uint64

// fork gives an independent stream for a purpose, so that a draw more in one
// place changes nothing elsewhere.
func (s source) fork(purpose ...uint64) *source {
	x := uint64(s)
	for _, p := range purpose {
		x = mix(x + golden*(p+1))
	}
	out := source(x)
	return &out
}

func (s *source) next() uint64 {
	*s += golden
	return mix(uint64(*s))
}

func (s *source) float() float64               { return unit(s.next()) }
func (s *source) between(a, b float64) float64 { return a + (b-a)*s.float() }

// log draws from a to b with even chances for each factor.
func (s *source) log(a, b float64) float64 { return a * math.Pow(b/a, s.float()) }

// whole draws from a to b, both included.
func (s *source) whole(a, b int) int { return a + int(s.next()%uint64(b-a+1)) }

func (s *source) chance(p float64) bool { return s.float() < p }

func (s *source) exp() float64 { return -math.Log(s.float()) }

func (s *source) normal() float64 {
	return math.Sqrt(2*s.exp()) * math.Cos(2*math.Pi*s.float())
}

// gamma draws from a gamma distribution of mean 1 (Marsaglia and Tsang).
func (s *source) gamma(shape float64) float64 {
	boost := 1.0
	k := shape
	if k < 1 {
		boost = math.Pow(s.float(), 1/k)
		k++
	}
	d := k - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := s.normal()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(s.float()) < x*x/2+d-d*v+d*math.Log(v) {
			return boost * d * v / shape
		}
	}
}

// poisson draws a count. Over 500 it is a rounded normal, whose skew is then
// under 5%.
func (s *source) poisson(mean float64) int {
	if mean > 500 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.normal())))
	}
	n := 0
	for mean > 0 {
		part := math.Min(mean, 20)
		mean -= part
		limit := math.Exp(-part)
		for p := s.float(); p > limit; p *= s.float() {
			n++
		}
	}
	return n
}

func pick[T any](s *source, of []T) T { return of[s.next()%uint64(len(of))] }

func shuffle[T any](s *source, of []T) {
	for i := len(of) - 1; i > 0; i-- {
		j := s.whole(0, i)
		of[i], of[j] = of[j], of[i]
	}
}
