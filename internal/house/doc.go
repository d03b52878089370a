// Package house holds the code to the layout that docs/decisions/0001-house.md
// describes: which package may import which, that the judgement stays pure, and
// that files and functions stay small enough to be read. It is tests alone.
package house
