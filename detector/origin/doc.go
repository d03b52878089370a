// Package origin ranks the services that a trouble may come from, where no
// upgrade is known that could have brought it: given who calls whom, what the
// services' latencies, requests and availability were in normal times and in
// the few rows since the trouble began, and the service at which it was noticed.
//
// Three questions are asked one after the other, each softly:
//
//  1. Is anything wrong at the target at all? How rare the rows since the onset
//     are among the windows of the same length in normal times gives a p-value,
//     without any assumption on tails or correlation over time; p-values become
//     e-values by the calibrator of Vovk and Wang (2021), "E-values: calibration,
//     combination and applications", Annals of Statistics 49(3): the integral of
//     k p^(k-1) over k in [0, 1], (1 - p + p ln p) / (p (ln p)^2). They are weighed
//     against [NoTrouble].
//  2. Which service adds it? What the target lost (seconds, or failures, for each
//     of its requests) is followed down the calls. A service keeps what its
//     callees don't add themselves, as often as they are called and as likely as
//     they have shifted at all. This is the traversal of the call graph, which
//     looks for a shifted service none of whose callees has shifted (Chen et al.,
//     "CauseInfer", INFOCOM 2014; measured by Hardt et al., "The PetShop dataset",
//     CLeaR 2024), with shares in place of its threshold. That the target must be
//     mended by mending the root is the second condition of IDI (Nagalapatti et
//     al., "Robust root cause diagnosis using in-distribution interventions", ICLR
//     2025): here its share is how much of the loss would go. That a service
//     answers for what its parents in the graph don't explain is also the idea of
//     CIRCA (Li et al., KDD 2022); rarity as the common measure of unlike metrics
//     is that of Budhathoki et al., "Causal structure-based root cause analysis of
//     outliers", ICML 2022.
//  3. Is it load? As far as a service's requests grew it is, and goes up to the
//     callers that grew as much.
//
// Everything is a pure function of its arguments.
package origin
