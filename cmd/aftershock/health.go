package main

import "aftershock/web"

// receivers tells the console how the last attempts to tell people ended.
func (d *daemon) receivers() (all []web.Receiver) {
	for _, o := range d.sender.Load().Outcomes() {
		all = append(all, web.Receiver{Name: o.Receiver, At: o.At, Error: o.Error, Since: o.Since})
	}
	return all
}
