package alerts

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"

	"aftershock/alerts/alertmanager"
	"aftershock/alerts/logs"
	"aftershock/alerts/mail"
	"aftershock/alerts/notify"
	"aftershock/alerts/opsgenie"
	"aftershock/alerts/pagerduty"
	"aftershock/alerts/slack"
	"aftershock/alerts/teams"
	"aftershock/alerts/webhook"
)

// Receiver is one receiver: a name and exactly one of the kinds.
type Receiver struct {
	Name         string               `yaml:"name"`
	Alertmanager *alertmanager.Config `yaml:"alertmanager"`
	Slack        *slack.Config        `yaml:"slack"`
	Mattermost   *slack.Config        `yaml:"mattermost"`
	PagerDuty    *pagerduty.Config    `yaml:"pagerduty"`
	Opsgenie     *opsgenie.Config     `yaml:"opsgenie"`
	Mail         *mail.Config         `yaml:"mail"`
	Teams        *teams.Config        `yaml:"teams"`
	Webhook      *webhook.Config      `yaml:"webhook"`
	Log          *logs.Config         `yaml:"log"`
	// Templates replace those of all receivers.
	Templates notify.Files `yaml:"templates"`
}

// settings are what each kind of receiver is set by.
type settings interface {
	SetDefaults()
	Validate(path string) []error
	Files() []*string
}

type kind struct {
	name string
	conf settings
	open func(log logrus.FieldLogger) (notify.Notifier, error)
}

// kindNames are the keys of the kinds, for people.
var kindNames = strings.Join([]string{
	"alertmanager", "slack", "mattermost", "pagerduty", "opsgenie", "mail", "teams", "webhook", "log",
}, ", ")

// kinds are the kinds that the receiver is of: one, if it is valid.
func (r *Receiver) kinds() []kind {
	var all []kind
	add := func(name string, conf settings, open func(log logrus.FieldLogger) (notify.Notifier, error)) {
		all = append(all, kind{name, conf, open})
	}
	if c := r.Alertmanager; c != nil {
		add("alertmanager", c, func(log logrus.FieldLogger) (notify.Notifier, error) { return alertmanager.New(*c, r.Name, log) })
	}
	if c := r.Slack; c != nil {
		add("slack", c, func(logrus.FieldLogger) (notify.Notifier, error) { return slack.New(*c, r.Name) })
	}
	if c := r.Mattermost; c != nil {
		add("mattermost", c, func(logrus.FieldLogger) (notify.Notifier, error) { return slack.NewMattermost(*c, r.Name) })
	}
	if c := r.PagerDuty; c != nil {
		add("pagerduty", c, func(logrus.FieldLogger) (notify.Notifier, error) { return pagerduty.New(*c, r.Name) })
	}
	if c := r.Opsgenie; c != nil {
		add("opsgenie", c, func(logrus.FieldLogger) (notify.Notifier, error) { return opsgenie.New(*c, r.Name) })
	}
	if c := r.Mail; c != nil {
		add("mail", c, func(log logrus.FieldLogger) (notify.Notifier, error) { return mail.New(*c, r.Name, log) })
	}
	if c := r.Teams; c != nil {
		add("teams", c, func(logrus.FieldLogger) (notify.Notifier, error) { return teams.New(*c, r.Name) })
	}
	if c := r.Webhook; c != nil {
		add("webhook", c, func(logrus.FieldLogger) (notify.Notifier, error) { return webhook.New(*c, r.Name) })
	}
	if c := r.Log; c != nil {
		add("log", c, func(log logrus.FieldLogger) (notify.Notifier, error) { return logs.New(log), nil })
	}
	return all
}

func (r *Receiver) validate(path string) []error {
	var errs []error
	kinds := r.kinds()
	for _, k := range kinds {
		errs = append(errs, k.conf.Validate(path+"."+k.name)...)
	}
	if len(kinds) != 1 {
		errs = append(errs, fmt.Errorf("%s: needs exactly one of %s", path, kindNames))
	}
	return errs
}

// open makes the receiver.
func (r *Receiver) open(log logrus.FieldLogger) (notify.Notifier, error) {
	kinds := r.kinds()
	if len(kinds) != 1 {
		return nil, errors.New("it is of no kind")
	}
	return kinds[0].open(log)
}
