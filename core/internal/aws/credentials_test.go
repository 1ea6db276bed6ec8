// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
)

// security is an STS that gives sessions of an hour for the tokens of an identity
// provider, which live for 5 minutes, and knows which have ended.
type security struct {
	mu       sync.Mutex
	tokens   int
	sessions map[string]time.Time // end, by key
	refused  []string
}

// token is the CI's: it says when it was made.
func (s *security) token(context.Context, string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	return fmt.Sprint(time.Now().Unix()), nil
}

// Do answers STS and ELBv2.
func (s *security) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/xml"}}, Request: r, Body: io.NopCloser(strings.NewReader(text))}, nil
	}
	session := func(action, result string) (*http.Response, error) {
		key, ends := fmt.Sprint("ASIA", len(s.sessions)), time.Now().Add(time.Hour)
		s.sessions[key] = ends
		return answer(http.StatusOK, "<"+action+"Response><"+action+"Result><Credentials><AccessKeyId>"+key+"</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>t</SessionToken><Expiration>"+
			ends.UTC().Format(time.RFC3339)+"</Expiration></Credentials></"+action+"Result></"+action+"Response>")
	}
	key, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="), "/")
	if action := form.Get("Action"); action != "AssumeRoleWithWebIdentity" && !time.Now().Before(s.sessions[key]) {
		s.refused = append(s.refused, action+" by "+key)
		return answer(http.StatusForbidden, queryError("ExpiredToken", "it has expired"))
	}
	switch form.Get("Action") {
	case "AssumeRoleWithWebIdentity":
		var made int64
		if _, err := fmt.Sscan(form.Get("WebIdentityToken"), &made); err != nil || time.Since(time.Unix(made, 0)) > 5*time.Minute {
			return answer(http.StatusBadRequest, queryError("ExpiredTokenException", "the token has expired"))
		}
		return session("AssumeRoleWithWebIdentity", "")
	case "AssumeRole":
		return session("AssumeRole", "")
	}
	return answer(http.StatusOK, health) // also to what describes groups, in which it says nothing
}

// knows is what EKS does with a token: it takes one for 15 minutes, if the session that
// signed it has not ended.
func (s *security) knows(token string, made time.Time) error {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
	if err != nil {
		return err
	}
	u, err := url.Parse(string(text))
	if err != nil {
		return err
	}
	key, _, _ := strings.Cut(u.Query().Get("X-Amz-Credential"), "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ends := s.sessions[key]; {
	case time.Since(made) > 15*time.Minute:
		return fmt.Errorf("a token of %s ago", time.Since(made))
	case !time.Now().Before(ends):
		return fmt.Errorf("signed by %s, whose session ended %s ago", key, time.Since(ends))
	}
	return nil
}

// cluster is an EKS cluster whose rollout takes an hour, and which takes the token of its client, made
// anew two minutes before it ends, for 15 minutes.
type cluster struct {
	*security
	cfg        awssdk.Config
	began      time.Time
	token      string
	made, ends time.Time
	renewed    int
}

func (c *cluster) login(ctx context.Context) (err error) {
	if time.Until(c.ends) <= 2*time.Minute {
		if c.token, c.ends, err = Token(ctx, c.cfg, "dev"); err != nil {
			return err
		}
		c.made, c.renewed = time.Now(), c.renewed+1
	}
	return c.knows(c.token, c.made)
}

func (c *cluster) Get(ctx context.Context, _, _, _, _ string) (*unstructured.Unstructured, error) {
	total := int64(2)
	if time.Since(c.began) > time.Hour {
		total = 1
	}
	return thing("Deployment", "web", `{"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}, "spec": {"template": {"metadata": {"labels": {"app": "web"}}}},
		"status": {"updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "replicas": %d}}`, total), c.login(ctx)
}

func (c *cluster) List(ctx context.Context, version, kind, _, _ string) (out []unstructured.Unstructured, err error) {
	const gated = `"spec": {"readinessGates": [{"conditionType": "target-health.elbv2.k8s.aws/web"}]}, "status": {"podIP": "10.0.0.%d", "conditions": [{"type": "Ready", "status": "True"}, {"type": "target-health.elbv2.k8s.aws/web", "status": "True"}]}`
	switch kind {
	case "ReplicaSet":
		out = append(out, *thing(kind, "new", `{"metadata": {"labels": {"pod-template-hash": "new"}, "annotations": {"deployment.kubernetes.io/revision": "2"}, "ownerReferences": [{"uid": "Deployment-web"}]}}`))
	case "Pod":
		out = append(out, *thing(kind, "new", `{"metadata": {"labels": {"pod-template-hash": "new"}, "ownerReferences": [{"uid": "ReplicaSet-new"}]}, `+gated+`}`, 1))
		if time.Since(c.began) < time.Hour {
			out = append(out, *thing(kind, "old", `{"metadata": {"labels": {"pod-template-hash": "old"}, "ownerReferences": [{"uid": "ReplicaSet-new"}]}, `+gated+`}`, 9))
		}
	case "Service":
		out = append(out, *thing(kind, "web", `{"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}`))
	case "TargetGroupBinding":
		if version == "elbv2.k8s.aws/v1beta1" {
			out = append(out, *thing(kind, "web", `{"spec": {"targetGroupARN": "arn", "serviceRef": {"name": "web", "port": 80}}}`))
		}
	}
	return out, c.login(ctx)
}

func (c *cluster) Logs(context.Context, string, string, string, int, bool) (string, error) {
	return "", errors.New("no logs here")
}

// thing is an object of the cluster.
func thing(kind, name, text string, args ...any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	text = strings.Replace(fmt.Sprintf(text, args...), "{", `{"apiVersion": "v1", "kind": "`+kind+`", `, 1)
	if err := o.UnmarshalJSON([]byte(text)); err != nil {
		panic(err)
	}
	o.SetName(name)
	o.SetNamespace("dev")
	o.SetUID(types.UID(kind + "-" + name))
	o.SetCreationTimestamp(metav1.Now())
	return o
}

// A gate of an hour outlives what it logs in with: EKS's tokens, which live for 15 minutes,
// the role's sessions of an hour, and those of a role upon it. Nobody sees a refusal.
func TestALongGateKeepsItsLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &security{sessions: map[string]time.Time{}}
		cfg := awssdk.Config{Region: "cn-northwest-1", HTTPClient: s, Retryer: func() awssdk.Retryer { return awssdk.NopRetryer{} }}
		cfg.Credentials = Role{ARN: "arn:aws-cn:iam::111122223333:role/ci", Chain: "arn:aws-cn:iam::444455556666:role/deploy", Token: s.token}.on(cfg)
		eks := &cluster{security: s, cfg: cfg, began: time.Now()}
		var unknown []string
		result, err := gate.Wait(t.Context(), eks, NewBalancer(cfg), gate.Options{
			Workloads: []gate.Workload{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Behind: true}}, Timeout: 2 * time.Hour,
			Observe: func(e event.Event) {
				if strings.Contains(e.Message, "cannot tell") {
					unknown = append(unknown, e.Message)
				}
			}})
		if took := time.Since(eks.began); err != nil || !result.Passed || took < time.Hour || took > time.Hour+2*time.Minute || len(unknown) > 0 {
			t.Fatalf("after %s: %v, %q", took, err, unknown)
		}
		// A token in 12 minutes, and one for each request in the last minutes of a session: they cost no call.
		if len(s.refused) > 0 || eks.renewed < 5 || eks.renewed > 400 || s.tokens != 2 || result.Polls < 100 {
			t.Errorf("refused %q, %d tokens for EKS, %d of the CI, %d sessions, %d polls", s.refused, eks.renewed, s.tokens, len(s.sessions), result.Polls)
		}
	})
}

// A token is worth no more than the session that signs it.
func TestATokenEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(3 * time.Minute)
		cfg := awssdk.Config{Region: "cn-northwest-1", Credentials: awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
			return awssdk.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", CanExpire: true, Expires: ends}, nil
		})}
		if _, got, err := Token(t.Context(), cfg, "dev"); err != nil || !got.Equal(ends) {
			t.Errorf("until %s, %v; want %s", got, err, ends)
		}
	})
}
