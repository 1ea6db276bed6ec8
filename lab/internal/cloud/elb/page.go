// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// pageMost is the largest page, and the one of a caller who does not ask for a size.
const pageMost = 400

// paginate returns the page after marker and the marker of the next one. A
// marker holds the last item's key and its place, so that a page can be had
// although that item is gone by now.
func paginate[T any](items []T, key func(T) string, marker *string, size *int32) ([]T, *string, error) {
	n := pageMost
	if size != nil {
		if n = int(*size); n < 1 || n > pageMost {
			return nil, nil, invalid("1 validation error detected: Value '%d' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and %d", *size, pageMost)
		}
	}
	from := 0
	if aws.ToString(marker) != "" {
		place, last, ok := readMarker(*marker)
		if !ok {
			return nil, nil, invalid("Invalid marker")
		}
		if from = slices.IndexFunc(items, func(t T) bool { return key(t) == last }) + 1; from == 0 {
			from = min(place, len(items))
		}
	}
	rest := items[from:]
	if len(rest) <= n {
		return rest, nil, nil
	}
	return rest[:n], aws.String(newMarker(from+n-1, key(rest[n-1]))), nil
}

func newMarker(place int, key string) string {
	return base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(place) + " " + key))
}

func readMarker(s string) (place int, key string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return 0, "", false
	}
	number, key, ok := strings.Cut(string(b), " ")
	place, err = strconv.Atoi(number)
	return place, key, ok && err == nil && place >= 0
}
