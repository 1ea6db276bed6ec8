@Library('outlast@main') _
pipeline {
  agent any
  options { disableConcurrentBuilds() }
  stages {
    stage('deploy') {
      steps {
        withCredentials([aws(credentialsId: 'deployer')]) {
{%?below%}          outlast(workingDirectory: {%groovyBelow%})
{%?noBelow%}          outlast()
        }
      }
    }
  }
}
