// SPDX-License-Identifier: Apache-2.0
// Runs a scripted pipeline with our shared library on JenkinsPipelineUnit, which
// transforms both to continuation-passing style, as Jenkins does; sh runs a real
// shell. Arguments: the library's folder, the workspace, the script's name in the
// workspace, the file to write what happened to.
import static com.lesfurets.jenkins.unit.global.lib.LibraryConfiguration.library

import com.lesfurets.jenkins.unit.cps.BasePipelineTestCPS
import com.lesfurets.jenkins.unit.global.lib.SourceRetriever
import groovy.json.JsonOutput

def (folder, workspace, name, result) = args
def seen = [steps: [], error: null, returned: null]

class Pipeline extends BasePipelineTestCPS { }
def test = new Pipeline(scriptRoots: [workspace] as String[], scriptExtension: '', baseScriptRoot: '')
test.setUp()
def helper = test.helper
helper.registerSharedLibrary(library().name('outlast').defaultVersion('main').allowOverride(true).implicit(false).targetPath(folder)
    .retriever({ String repository, String branch, String target -> [new File(folder).toURI().toURL()] } as SourceRetriever).build())
def variables = []
test.binding.setVariable('env', [:])
test.binding.setVariable('currentBuild', [:])
helper.registerAllowedMethod('error', [String], { String m -> throw new RuntimeException(m) })
helper.registerAllowedMethod('libraryResource', [String], { String n -> new File(folder, 'resources/' + n).text })
helper.registerAllowedMethod('withEnv', [List, Closure], { List list, Closure body -> variables.addAll(list); seen.steps << 'withEnv'; body() })
helper.registerAllowedMethod('fileExists', [String], { String n -> new File(workspace, n).exists() })
helper.registerAllowedMethod('readFile', [String], { String n -> new File(workspace, n).text })
helper.registerAllowedMethod('junit', [Map], { Map m -> seen.steps << 'junit ' + m.testResults })
helper.registerAllowedMethod('archiveArtifacts', [Map], { Map m -> seen.steps << 'archive ' + m.artifacts })
helper.registerAllowedMethod('keep', [Object], { Object o -> seen.returned = o })
helper.registerAllowedMethod('sh', [Map], { Map m ->
    seen.steps << 'sh'
    def script = File.createTempFile('durable', '.sh')
    script.deleteOnExit()
    script.text = m.script
    script.executable = true
    def environment = System.getenv().collect { k, v -> k + '=' + v } + variables
    def process = ['sh', script.path].execute(environment as String[], new File(workspace))
    process.consumeProcessOutput(System.out, System.err)
    int code = process.waitFor()
    if (System.getenv('FAKE_EXIT') == 'abort') { // as Jenkins: sh returns no status then
        throw new InterruptedException('aborted')
    }
    return code
})
try {
    test.runScript(name)
} catch (Exception e) {
    seen.error = String.valueOf(e.cause?.message ?: e.message)
    e.printStackTrace()
}
seen.env = test.binding.getVariable('env')
seen.build = test.binding.getVariable('currentBuild')
new File(result).text = JsonOutput.toJson(seen)
