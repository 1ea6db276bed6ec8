@Library('outlast@main') _
pipeline {
  agent any
  options { disableConcurrentBuilds() }
  stages {
    stage('deploy') {
      steps {
        withCredentials([aws(credentialsId: 'deployer')]) {
          outlast(region: 'cn-northwest-1')
        }
      }
    }
  }
}
