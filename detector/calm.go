package detector

// temper is how much the variance is inflated for indicators of a kind: what
// their placebos ask for, or, while there are few, those of all kinds.
func (j *Judge) temper(k Kind) float64 { return tempers[j.calm(k).keeps(0)] }

// jumps is how often a day an indicator of a kind jumps by itself, as its placebos
// tell: each jump is seen by several of them.
func (j *Judge) jumps(k Kind) float64 {
	p := j.calm(k)
	return 6 * (float64(p.Alarm[p.temper()]) + 1) / float64(p.Count+fewPlacebos)
}

func (j *Judge) calm(k Kind) *Placebos {
	p := j.placebos[k]
	if p.Count < fewPlacebos {
		p = &Placebos{}
		for _, o := range j.placebos {
			p.add(o)
		}
	}
	return p
}

// doubt is temper for the causes: it is taken from a level at which true jumps,
// too, weigh in, since they make any coincidence less telling.
func (j *Judge) doubt(k Kind) float64 { return tempers[j.calm(k).keeps(1)] }
