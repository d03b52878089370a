package fleet

// Covariates is what a world's telemetry tells beside the indicators. Leaving
// something out changes nothing else of a world.
type Covariates struct {
	Graph         bool // who calls whom
	FirstAttempts bool // how many first attempts failed, and how many calls had a retry
	Builds        bool // which build each instance runs
}

// Usual is what worlds tell if nothing else is said.
var Usual = Covariates{Graph: true, Builds: true}
