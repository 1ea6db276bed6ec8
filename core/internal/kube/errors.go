// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	"github.com/outlast-ci/outlast/core/internal/kube/internal/conflict"
)

// AuthError is a login that failed or a permission that lacks.
type AuthError struct{ Err error }

func (e *AuthError) Error() string { return e.Err.Error() }
func (e *AuthError) Unwrap() error { return e.Err }

// explain says what was tried on which object, what was seen and what to do.
func (c *Client) explain(err error, verb, object string) error {
	what := strings.TrimSpace(verb + " " + object)
	var auth *AuthError
	var unknownCA x509.UnknownAuthorityError
	var network *net.OpError
	switch {
	case errors.As(err, &auth):
		return fmt.Errorf("%s at %s: %w", what, c.host, err)
	case strings.Contains(err.Error(), "getting credentials: "): // client-go's words when the kubeconfig's program fails
		return &AuthError{fmt.Errorf("%s at %s: the kubeconfig's credential program gave no credentials; does it run by hand? %w", what, c.host, err)}
	case apierrors.IsUnauthorized(err):
		return &AuthError{fmt.Errorf("%s at %s: the cluster does not know this identity (401): on EKS, give the role an access entry or an aws-auth mapping; else renew the kubeconfig's credentials: %w", what, c.host, err)}
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot "):
		return &AuthError{fmt.Errorf("%s at %s: not allowed (403): bind the identity to a Role that has this verb: %w", what, c.host, err)}
	case errors.As(err, &unknownCA):
		return fmt.Errorf("%s at %s: its certificate is signed by an authority that the kubeconfig (or EKS) does not name; is the address right, or a proxy in between? %w", what, c.host, err)
	case errors.Is(err, errNoAnswer), strings.Contains(err.Error(), "TLS handshake timeout"): // of a type that net/http keeps to itself
		return fmt.Errorf("%s at %s: the cluster does not answer; is its endpoint private, or a proxy needed? %w", what, c.host, err)
	case errors.As(err, &network):
		return fmt.Errorf("%s at %s: the cluster cannot be reached from here; is its endpoint private, or a proxy needed? %w", what, c.host, err)
	case isMissingNamespace(err):
		return fmt.Errorf("%s: its namespace does not exist; add the Namespace to the manifests or create it: %w", what, err)
	case conflict.Is(err):
		return fmt.Errorf("%s: %w", what, conflict.Explain(err, object))
	}
	return fmt.Errorf("%s: %w", what, err)
}

func isMissingNamespace(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// plainText is the serializer of the raw client: answers are read as bytes,
// and an error's Status as JSON.
type plainText struct{}

func (plainText) SupportedMediaTypes() []runtime.SerializerInfo {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	s := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{})
	return []runtime.SerializerInfo{{MediaType: "application/json", MediaTypeType: "application", MediaTypeSubType: "json", EncodesAsText: true, Serializer: s}}
}

func (plainText) EncoderForVersion(e runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return e
}

func (plainText) DecoderToVersion(d runtime.Decoder, _ runtime.GroupVersioner) runtime.Decoder {
	return d
}
