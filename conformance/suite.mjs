// Runs the HTTP cache test suite against a URL and writes what it asks and what came out as one JSON file.
//
//   node suite.mjs SUITE BASE_URL OUTPUT [TEST_ID]
//
// SUITE is the folder of the package http-cache-tests, or a checkout of github.com/http-tests/cache-tests, which has moved its
// client since that release. The suite's own client sends and judges; nothing is changed or left out here.

import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [suite, base, output, only] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(suite, file)))
const moved = existsSync(path.join(suite, 'test-engine'))

const groups = [...(await load('tests/index.mjs')).default]
if (existsSync(path.join(suite, 'tests/surrogate-control.mjs'))) {
  // As the suite's own cli.mjs does: this group is not in the index.
  groups.push((await load('tests/surrogate-control.mjs')).default)
}
const chosen = only === undefined ? groups : choose(only)

function choose (id) {
  for (const group of groups) {
    const test = group.tests.find(test => test.id === id)
    if (test !== undefined) {
      test.dump = true
      return [{ ...group, tests: [test] }]
    }
  }
  console.error(`The suite has no test ${id}.`)
  process.exit(2)
}

const client = await load(moved ? 'test-engine/client/runner.mjs' : 'client/runner.mjs')
if (moved) {
  await client.runTests(chosen, false, base)
} else {
  const fetch = createRequire(path.join(suite, 'package.json'))('node-fetch')
  await client.runTests(chosen, fetch, false, base)
}

const described = chosen.map(({ id, name, tests }) => ({
  id,
  name,
  tests: tests.filter(test => test.browser_only !== true).map(({ id, name, kind, depends_on: dependsOn }) => ({
    id, name, kind: kind ?? 'required', depends_on: dependsOn ?? []
  }))
}))
writeFileSync(output, JSON.stringify({ groups: described, results: client.getResults() }))
process.exit(0)
