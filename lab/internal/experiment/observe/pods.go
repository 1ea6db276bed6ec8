// SPDX-License-Identifier: Apache-2.0

// Package observe looks at the lab from outside while applications are rolled
// out: at pods by a watch of the API server, at targets by the balancers as they
// change, and at requests by the access log.
package observe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// Pod is what the API server showed of one, and when it did; a zero time: not yet.
type Pod struct {
	Name    string    `json:"name"`
	IP      string    `json:"ip"`
	New     bool      `json:"new"` // made by the rollout, not replaced by it
	Created time.Time `json:"created"`
	Ready   time.Time `json:"ready"` // for the last time
	Deleted time.Time `json:"deleted"`
	Exited  time.Time `json:"exited"` // its process was seen to have ended
	Gone    time.Time `json:"gone"`

	UID       string `json:"-"`
	Namespace string `json:"-"`
}

// Pods are those of the experiment, as a watch tells of them.
type Pods struct {
	mu  sync.Mutex
	all []*Pod
}

// In lists a namespace's pods in order of creation.
func (p *Pods) In(namespace string) []Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Pod
	for _, pod := range p.all {
		if pod.Namespace == namespace {
			list = append(list, *pod)
		}
	}
	slices.SortFunc(list, func(a, b Pod) int { return a.Created.Compare(b.Created) })
	return list
}

// shown is a pod in a watch's words.
type shown struct {
	Type   string
	Object struct {
		Metadata struct {
			Name, Namespace, UID string
			DeletionTimestamp    *time.Time
		}
		Status struct {
			PodIP             string
			Conditions        []struct{ Type, Status string }
			ContainerStatuses []struct {
				State struct{ Terminated *struct{ ExitCode int } }
			}
		}
		Message string // of an error
	}
}

// take notes an event.
func (p *Pods) take(e shown, now time.Time) error {
	if e.Type == "ERROR" {
		return fmt.Errorf("following the pods: the API server says: %s", e.Object.Message)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	meta, status := e.Object.Metadata, e.Object.Status
	i := slices.IndexFunc(p.all, func(pod *Pod) bool { return pod.UID == meta.UID })
	if i < 0 {
		i = len(p.all)
		p.all = append(p.all, &Pod{Name: meta.Name, UID: meta.UID, Namespace: meta.Namespace, Created: now})
	}
	pod := p.all[i]
	if status.PodIP != "" {
		pod.IP = status.PodIP
	}
	note := func(at *time.Time, yes bool) {
		if yes && at.IsZero() {
			*at = now
		}
	}
	for _, c := range status.Conditions {
		note(&pod.Ready, c.Type == "Ready" && c.Status == "True")
	}
	note(&pod.Deleted, meta.DeletionTimestamp != nil)
	for _, c := range status.ContainerStatuses {
		note(&pod.Exited, c.State.Terminated != nil)
	}
	note(&pod.Exited, e.Type == "DELETED")
	note(&pod.Gone, e.Type == "DELETED")
	return nil
}

// Follow watches the pods of the example in all namespaces until ctx ends.
// ready is called when nothing can be missed any more.
func (p *Pods) Follow(ctx context.Context, s labstate.State, ready func()) error {
	client, err := administrator(s)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Kube()+"/api/v1/pods?watch=true&timeoutSeconds=14400&labelSelector=app.kubernetes.io%2Fname%3Dweb", http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("following the pods: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("following the pods: the API server answers %s", res.Status)
	}
	ready()
	for in := json.NewDecoder(res.Body); ; {
		var e shown
		err := in.Decode(&e)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = p.take(e, time.Now())
		}
		if err != nil {
			return fmt.Errorf("following the pods: %w; what happened since then is not known, run it again", err)
		}
	}
}

// administrator is a client with the lab's own certificate.
func administrator(s labstate.State) (*http.Client, error) {
	ca, err := os.ReadFile(s.Path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("reading the lab's authority: there is no certificate in it")
	}
	pair, err := tls.LoadX509KeyPair(s.Path("pki", "admin.crt"), s.Path("pki", "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the administrator's certificate: %w", err)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}}, nil
}
