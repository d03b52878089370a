package stat

import "math"

// Nuisances is the number of regressors of a Reading that are no shift: known
// courses of unknown size.
const Nuisances = 6

// Reading is the logarithm of a count over its expectation in one bin of time.
type Reading struct {
	// Gap is the time in steps between the middle of the bin before and this
	// one's, Steps the bin's length.
	Gap, Steps float64
	// Y is the log ratio, Var the variance that counting alone gives it.
	Y, Var float64
	// Nuisance is the course of each nuisance in this bin, and Renewed the variance
	// by which its size may have changed since the bin before.
	Nuisance, Renewed [Nuisances]float64
}

// Estimate is a score and the information of what it estimates: the estimate is
// Score/Info with the variance 1/Info.
type Estimate struct{ Score, Info float64 }

// Value is the estimate, 0 without information.
func (e Estimate) Value() float64 {
	if !(e.Info > 0) {
		return 0
	}
	return e.Score / e.Info
}

// Shock is what the readings say of a lasting change that began with one of
// them: a step by Step, or a slope by Ramp (per 1000 steps) that goes on.
type Shock struct{ Step, Ramp Estimate }

const (
	own   = Components + Nuisances // states with a variance of their own
	level = own                    // the state that a step shifts
	slope = own + 1
	wide  = own + 2
	// rampUnit is the number of steps in which a ramp of 1 rises by 1.
	rampUnit = 1000
)

// Filter is the linear Gaussian model of a course of readings:
//
//	y_i = sum_k a_ki + sum_m c_mi b_m + e_i,   e_i ~ N(0, Var_i)
//
// with a_k the components of the noise (stationary, first order), and b_m ~
// N(0, Prior_m) the sizes of the nuisances, to which N(0, Renewed_mi) is added
// before reading i.
//
// Shocks answers for every reading i what the course says of a step, and of a
// ramp, that begins with it, under generalised least squares with that
// covariance: one Kalman filter forwards, one smoother backwards, whatever the
// number of instants (de Jong and Penzer 1998, "Diagnosing shocks in time
// series", JASA 93, 796-806: s = W'r and S = W'NW). What came before tells the
// level from which the change is counted, as far as the noise remembers.
type Filter struct {
	Noise Noise
	Prior [Nuisances]float64

	mean  [own]float64
	cov   [own][own]float64
	steps []filtered
	// shrunk is by how much each component varies less over the reading under way.
	shrunk [Components]float64
	// used are the nuisances that have a course at all: states Components and on,
	// as many as states says.
	used   []int
	states int
}

// filtered is what the backward pass needs of a reading.
type filtered struct {
	nu, f float64 // innovation and its variance
	gain  [own]float64
	rho   [Components]float64 // transition to the next reading
	gap   float64             // to the next reading, in units of a ramp
	z     [own]float64        // what the reading sees of each state
}

// Shocks is described at Filter. Level is what the noise amounts to just before
// each reading, as far as those before tell.
func (f *Filter) Shocks(readings []Reading, shocks []Shock, levels []float64) ([]Shock, []float64) {
	shocks, levels = shocks[:0], levels[:0]
	if len(readings) == 0 {
		return shocks, levels
	}
	f.use(readings)
	f.start(&readings[0])
	f.steps = f.steps[:0]
	for i := range readings {
		levels = append(levels, f.mean[0]+f.mean[1]+f.mean[2]+f.mean[3])
		var next *Reading
		if i+1 < len(readings) {
			next = &readings[i+1]
		}
		f.steps = append(f.steps, f.take(&readings[i], next))
		shocks = append(shocks, Shock{})
	}
	var r [wide]float64
	var n [wide][wide]float64
	for i := len(f.steps) - 1; i >= 0; i-- {
		f.steps[i].back(&r, &n, f.states)
		shocks[i] = Shock{Estimate{r[level], n[level][level]}, Estimate{r[slope], n[slope][slope]}}
	}
	return shocks, levels
}

// use finds the nuisances that have a course: most courses have few or none, and
// the cost goes with the square of the states.
func (f *Filter) use(readings []Reading) {
	f.used = f.used[:0]
	for m := range Nuisances {
		for i := range readings {
			if readings[i].Nuisance[m] != 0 {
				f.used = append(f.used, m)
				break
			}
		}
	}
	f.states = Components + len(f.used)
}

func (f *Filter) start(first *Reading) {
	f.mean, f.cov = [own]float64{}, [own][own]float64{}
	for k, v := range f.Noise {
		f.shrunk[k] = shrink(first.Steps / memories[k])
		f.cov[k][k] = v * f.shrunk[k]
	}
	for i, m := range f.used {
		f.cov[Components+i][Components+i] = f.Prior[m]
	}
}

// take updates by a reading and predicts the next.
func (f *Filter) take(y, next *Reading) filtered {
	out := filtered{nu: y.Y, f: y.Var}
	z, n := &out.z, f.states
	for k := range Components {
		z[k] = 1
	}
	for i, m := range f.used {
		z[Components+i] = y.Nuisance[m]
	}
	var pz [own]float64
	for k, x := range z[:n] {
		if x == 0 {
			continue
		}
		out.nu -= x * f.mean[k]
		for l := range n {
			pz[l] += f.cov[k][l] * x
		}
	}
	for k, x := range z[:n] {
		out.f += x * pz[k]
	}
	for k := range n {
		g := pz[k] / out.f
		f.mean[k] += g * out.nu
		for l := range n {
			f.cov[k][l] -= g * pz[l]
		}
	}
	for k := range out.rho {
		out.rho[k] = 1
	}
	if next != nil {
		f.predict(y, next, &out)
	}
	for k := range n {
		rho := 1.0
		if k < Components {
			rho = out.rho[k]
		}
		out.gain[k] = rho * pz[k] / out.f
	}
	return out
}

// predict moves the state on to the next reading. A component of a longer bin
// varies less, by shrink, which the transition takes into account.
func (f *Filter) predict(y, next *Reading, out *filtered) {
	out.gap = next.Gap / rampUnit
	for k, v := range f.Noise {
		was, is := f.shrunk[k], f.shrunk[k]
		if next.Steps != y.Steps {
			is = shrink(next.Steps / memories[k])
			f.shrunk[k] = is
		}
		keep := math.Exp(-next.Gap / memories[k])
		out.rho[k] = keep
		if was != is {
			out.rho[k] *= math.Sqrt(is / was)
		}
		for l := range f.states {
			f.cov[k][l] *= out.rho[k]
			f.cov[l][k] *= out.rho[k]
		}
		f.mean[k] *= out.rho[k]
		f.cov[k][k] += v * is * (1 - keep*keep)
	}
	for i, m := range f.used {
		f.cov[Components+i][Components+i] += next.Renewed[m]
	}
}

// back is one step of the smoother: r and N of the reading from those of the
// next. The states are the filter's own, as many as are given, and the two that a
// shock moves.
func (s *filtered) back(r *[wide]float64, n *[wide][wide]float64, states int) {
	var u, kn [wide]float64 // u = N K, with K the gain
	kr, kk := 0.0, 0.0
	for k := range wide {
		sum := 0.0
		for l, g := range s.gain[:states] {
			sum += n[k][l] * g
		}
		u[k] = sum
	}
	for l, g := range s.gain[:states] {
		kk += u[l] * g
		kr += r[l] * g
	}
	// N := T'N T, u := T'u, r := T'r, with T the transition: diagonal but for the
	// slope, which adds to the level.
	for k := range wide {
		n[slope][k] += s.gap * n[level][k]
	}
	for k := range wide {
		n[k][slope] += s.gap * n[k][level]
	}
	u[slope] += s.gap * u[level]
	r[slope] += s.gap * r[level]
	for k, rho := range s.rho {
		u[k] *= rho
		r[k] *= rho
		for l := range wide {
			n[k][l] *= rho
			n[l][k] *= rho
		}
	}
	copy(kn[:], s.z[:states])
	kn[level] = 1
	a, b := s.nu/s.f-kr, kk+1/s.f
	for k, zk := range kn {
		r[k] += zk * a
		if k >= states && k < level {
			continue
		}
		for l, zl := range kn {
			n[k][l] += zk*(zl*b-u[l]) - u[k]*zl
		}
	}
}

// Along answers what the readings last given to Shocks say of a change of a known
// course: y_i = ... + d x_i, x being the course and d its size, for instance the
// share of traffic that a new build serves.
func (f *Filter) Along(x []float64) Estimate {
	var mean [own]float64
	var e Estimate
	for i := range f.steps {
		s := &f.steps[i]
		nu := x[i]
		for k := range Components {
			nu -= mean[k]
		}
		for k, c := range s.z[Components:f.states] {
			nu -= c * mean[Components+k]
		}
		e.Score += nu * s.nu / s.f
		e.Info += nu * nu / s.f
		for k := range f.states {
			if k < Components {
				mean[k] *= s.rho[k]
			}
			mean[k] += s.gain[k] * nu
		}
	}
	return e
}
