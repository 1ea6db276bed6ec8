// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
)

const (
	tokenPrefix   = "k8s-aws-v1."
	clusterHeader = "x-k8s-aws-id"
)

// ClusterToken checks a token for the cluster of that name and region, as the
// authenticator of an EKS cluster does: the token is a presigned
// GetCallerIdentity for the region's public STS host, with the cluster's name
// among the signed headers. The error says what is wrong with it.
func (k *Keys) ClusterToken(token, cluster, regionName string) (Identity, error) {
	u, err := parseToken(token, regionName)
	if err != nil {
		return Identity{}, err
	}
	q := u.Query()
	if err := checkParameters(q); err != nil {
		return Identity{}, err
	}
	if !slices.Contains(strings.Split(strings.ToLower(q.Get("X-Amz-SignedHeaders")), ";"), clusterHeader) {
		return Identity{}, fmt.Errorf("checking token: the header %s, with the cluster's name %q, is not among the signed headers %q", clusterHeader, cluster, q.Get("X-Amz-SignedHeaders"))
	}
	id, scope, err := k.verifyURL("GET", u, func(name string) string {
		switch name {
		case "host":
			return u.Host
		case clusterHeader:
			return cluster
		}
		return "" // a verifier sends no other header
	})
	if scope != (Scope{}) && (scope.Service != "sts" || scope.Region != regionName) {
		return Identity{}, fmt.Errorf("checking token: signed for service %q in region %q, not for sts in %q", scope.Service, scope.Region, regionName)
	}
	if errors.Is(err, ErrSignature) {
		return Identity{}, fmt.Errorf("checking token: %w: the secret of key %s is another one, or the token was changed, or it is for another cluster than %q", err, scope.AccessKeyID, cluster)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("checking token of key %q: %w", scope.AccessKeyID, err)
	}
	if id.User.KubernetesUser == "" {
		return Identity{}, fmt.Errorf("checking token: %s is genuine but has no access entry in cluster %q", id.ARN, cluster)
	}
	return id, nil
}

func parseToken(token, regionName string) (*url.URL, error) {
	enc, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, fmt.Errorf("checking token: it does not begin with %q", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(enc)
	if err != nil {
		return nil, fmt.Errorf("checking token: it is not unpadded base64url: %w", err)
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		return nil, errors.New("checking token: it holds no URL")
	}
	if want := region.STSHost(regionName); u.Scheme != "https" || u.Host != want || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("checking token: it is for %s://%s%s, but the cluster only asks https://%s/", u.Scheme, u.Host, u.Path, want)
	}
	return u, nil
}

// checkParameters refuses all parameters but those of a presigned GetCallerIdentity.
func checkParameters(q url.Values) error {
	allowed := []string{"action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
		"x-amz-security-token", "x-amz-signature", "x-amz-signedheaders", "x-amz-user-agent", "x-amz-content-sha256"}
	for name, values := range q {
		if len(values) != 1 {
			return fmt.Errorf("checking token: parameter %s is given %d times", name, len(values))
		}
		if !slices.Contains(allowed, strings.ToLower(name)) {
			return fmt.Errorf("checking token: parameter %q does not belong in it", name)
		}
	}
	if q.Get("Action") != "GetCallerIdentity" {
		return fmt.Errorf("checking token: the action is %q, not GetCallerIdentity", q.Get("Action"))
	}
	if n, err := strconv.Atoi(q.Get("X-Amz-Expires")); err != nil || n < 0 || n > 900 {
		return fmt.Errorf("checking token: X-Amz-Expires is %q, not a number from 0 to 900: set it to 60 when presigning", q.Get("X-Amz-Expires"))
	}
	return nil
}
