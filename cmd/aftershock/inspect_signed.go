package main

import (
	"flag"

	"aftershock/upgrades/preflight"
)

// signatureArgs are the flags of how signatures are looked at.
type signatureArgs struct{}

func (a *signatureArgs) define(*flag.FlagSet) {}

func (a *signatureArgs) options() (preflight.Signatures, error) { return preflight.Signatures{}, nil }
