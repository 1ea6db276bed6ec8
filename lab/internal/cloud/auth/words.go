// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/http"
)

// words returns a refusal in the words of the query services.
func words(err error) (code, message string, status int) {
	switch {
	case errors.Is(err, ErrMissing):
		return "MissingAuthenticationToken", "Request is missing Authentication Token", http.StatusForbidden
	case errors.Is(err, ErrMalformed):
		return "IncompleteSignature", err.Error(), http.StatusBadRequest
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrToken):
		return "InvalidClientTokenId", "The security token included in the request is invalid.", http.StatusForbidden
	case errors.Is(err, ErrExpired):
		return "ExpiredToken", "The security token included in the request is expired", http.StatusForbidden
	case errors.Is(err, ErrSkew):
		return "SignatureDoesNotMatch", "Signature not yet current or expired: " + err.Error(), http.StatusForbidden
	}
	return "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", http.StatusForbidden
}
