package com.cloudbees.groovy.cps

// Jenkins's mark for code that is not rewritten; here it only has to be there.
@interface NonCPS {}
