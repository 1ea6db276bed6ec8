// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// tokenReview is the part of authentication.k8s.io/v1 TokenReview that is used here.
type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token string `json:"token"`
	} `json:"spec,omitzero"`
	Status tokenStatus `json:"status"`
}

type tokenStatus struct {
	Authenticated bool      `json:"authenticated"`
	User          tokenUser `json:"user,omitzero"`
	Error         string    `json:"error,omitempty"`
}

type tokenUser struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// TokenReview is the webhook of the cluster's API server that tells who a
// token is. A refusal says why in status.error, and in the log.
func (c *Cloud) TokenReview() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in tokenReview
		err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in)
		if err != nil || in.Kind != "TokenReview" || in.APIVersion != "authentication.k8s.io/v1" {
			http.Error(w, fmt.Sprintf("the body must be an authentication.k8s.io/v1 TokenReview (kind %q, version %q, %v)", in.Kind, in.APIVersion, err), http.StatusBadRequest)
			return
		}
		out := tokenReview{APIVersion: in.APIVersion, Kind: in.Kind}
		id, err := c.keys.ClusterToken(in.Spec.Token, c.cfg.Cluster.Name, c.cfg.Region)
		if err != nil {
			c.log("token review: " + err.Error())
			out.Status.Error = err.Error()
		} else {
			out.Status = tokenStatus{Authenticated: true, User: tokenUser{
				Username: id.User.KubernetesUser, Groups: id.User.KubernetesGroups, UID: "aws-iam-authenticator:" + c.cfg.Account + ":" + id.UserID,
				Extra: map[string][]string{"arn": {id.ARN}, "accessKeyId": {id.AccessKeyID}},
			}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	})
}
