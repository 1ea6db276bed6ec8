// SPDX-License-Identifier: Apache-2.0

// Package xunit has the test cases of JUnit's XML, which CI systems read.
package xunit

// Text is why a case failed or was skipped.
type Text struct {
	Message string `xml:"message,attr,omitempty"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Case is one test case.
type Case struct {
	Class   string `xml:"classname,attr"`
	Name    string `xml:"name,attr"`
	File    string `xml:"file,attr,omitempty"`
	Time    string `xml:"time,attr"` // seconds
	Failure *Text  `xml:"failure,omitempty"`
	Skipped *Text  `xml:"skipped,omitempty"`
	Out     string `xml:"system-out,omitempty"`
}

// Count adds the case to the numbers of its suite.
func (c Case) Count(tests, failures, skipped *int) {
	*tests++
	if c.Failure != nil {
		*failures++
	}
	if c.Skipped != nil {
		*skipped++
	}
}
