package detector

// Ration has the judge weigh only so many trials at a look because it is their turn.
func (j *Judge) Ration(turns int) { j.turns = turns }
