// SPDX-License-Identifier: Apache-2.0

package snowplow

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/metrics"
	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/oidc"
)

type (
	SendResult struct {
		EventCount int
		StatusCode int
		Err        error
	}
	SendCallback  func(successes, failures []SendResult)
	EmitterOption func()
	Emitter       struct{}
	Tracker       struct{}

	BillingEventRequiredInput struct {
		Category, EventType, Realm, UnitOfMeasure string
		Quantity                                  float64
	}
	BillingEventOptionalInput struct {
		Subject, DeploymentType, InstanceID, UniqueInstanceID   string
		ProjectID, NamespaceID, RootNamespaceID, OrganizationID int64
		Metadata                                                map[string]any
	}
)

var errStub = errors.New("stub: no snowplow")

func WithCallback(SendCallback) EmitterOption                              { return nil }
func WithTokenSource(*oidc.Source) EmitterOption                           { return nil }
func WithMetricsCollectorOptions(...metrics.CollectorOption) EmitterOption { return nil }
func NewEmitter(string, ...EmitterOption) (*Emitter, error)                { return nil, errStub }
func NewTracker(string, *Emitter) (*Tracker, error)                        { return nil, errStub }
func (*Emitter) Collector() prometheus.Collector                           { return nil }
func (*Tracker) Stop()                                                     {}
func (*Tracker) TrackBillingEventWithOptionalInput(BillingEventRequiredInput, BillingEventOptionalInput) error {
	return errStub
}
