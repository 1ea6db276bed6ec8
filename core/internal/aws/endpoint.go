// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
)

// publicEndpoint resolves STS as if no endpoint was configured.
type publicEndpoint struct{ next sts.EndpointResolverV2 }

// ResolveEndpoint drops what AWS_ENDPOINT_URL or a profile's services section
// says: the SDK reads those after the options of a client.
func (p publicEndpoint) ResolveEndpoint(ctx context.Context, params sts.EndpointParameters) (smithyendpoints.Endpoint, error) {
	params.Endpoint = nil
	return p.next.ResolveEndpoint(ctx, params)
}
