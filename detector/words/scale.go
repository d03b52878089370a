package words

import "aftershock/detector"

// Logarithmic says on which axis the courses of an indicator are drawn, always the same
// for the same indicator, so that the picture doesn't change its meaning as more of the
// course comes into view. Failures and told quantiles go over magnitudes and get a
// logarithmic axis; the share in the tail and retries per call get one from 0 on.
func Logarithmic(i detector.Indicator, what string) bool {
	return i.Kind == detector.Error || IsQuantile(what)
}

// Axis names the axis of a course for its caption.
func Axis(i detector.Indicator, what string) string {
	if Logarithmic(i, what) {
		return "logarithmic axis"
	}
	return "linear axis from 0"
}

// Counted is a course without its last block where that counted less than half of the one
// before: it is hardly begun, and its figure says nothing yet.
func Counted(course []detector.CoursePoint) []detector.CoursePoint {
	if n := len(course) - 1; n > 1 && course[n].Total < course[n-1].Total/2 {
		return course[:n]
	}
	return course
}

// Unit is the quantity in which a verdict's course is drawn: its effect's, or what the
// indicator's kind has while no effect is known.
func Unit(v detector.Verdict) string {
	switch {
	case v.Effect != nil:
		return v.Effect.What
	case v.Indicator.Kind == detector.Error:
		return "share of failed requests"
	case v.Indicator.Kind == detector.Retry:
		return "retries per call"
	}
	return ""
}
