// SPDX-License-Identifier: Apache-2.0

package addmask

import (
	"errors"
	"io"
)

type AddMask struct{}

func New(db any, stdout, stderr io.Writer) (*AddMask, error) {
	return nil, errors.New("stub: no addmask")
}
func (*AddMask) Get(int) io.Writer { return io.Discard }
func (*AddMask) Close() error      { return nil }
