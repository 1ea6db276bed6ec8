// SPDX-License-Identifier: Apache-2.0

package extended

import (
	"context"
	"errors"
	"io"

	"gitlab.com/gitlab-org/step-runner/pkg/api/client"
	"google.golang.org/grpc"
)

type (
	Dialer interface {
		Dial() (*grpc.ClientConn, error)
	}
	FollowOutput struct{ Logs io.Writer }
	Client       struct{}
)

var errStub = errors.New("stub: no step-runner")

func New(Dialer) (*Client, error)                    { return nil, errStub }
func (*Client) CloseConn() error                     { return nil }
func (*Client) Cancel(context.Context, string) error { return errStub }
func (*Client) RunAndFollow(context.Context, *client.RunRequest, *FollowOutput) (client.Status, error) {
	return client.Status{}, errStub
}
