import { randomCluster, CLUSTER_NOW_MS } from '/work/main/test/support/randomCluster.ts';
import { snapshotOf } from '/work/main/test/determinism/compare.ts';
import { loadConfig } from '/work/main/src/config/loadConfig.ts';
import { EXISTING_ACTIONS } from '/work/main/src/engine/actions/index.ts';
import { createCycleRunner } from '/work/main/src/runner/cycleRunner.ts';
import { createAuditor, formatFinding } from '/work/main/src/audit/audit.ts';
const config = loadConfig({ actions: loadConfig({}).config.actions.filter(a => EXISTING_ACTIONS.includes(a)) }).config;
console.log(config.actions);
const runner = createCycleRunner({ workers: 0 });
const audit = createAuditor();
const rules = new Map<string, number>();
let ms = 0, dec = 0, shown = 0;
const from = Number(process.argv[2] ?? 0), n = Number(process.argv[3] ?? 500);
for (let seed = from; seed < from + n; seed++) {
  const objects = randomCluster(seed);
  const view = snapshotOf(objects);
  const { decisions, report } = await runner.run(view, config, CLUSTER_NOW_MS);
  dec += decisions.length;
  const t = performance.now();
  const findings = audit({ objects, config, nowMs: CLUSTER_NOW_MS, decisions, report });
  ms += performance.now() - t;
  for (const f of findings) { rules.set(f.rule, (rules.get(f.rule) ?? 0) + 1); if (shown++ < 25) console.log(seed, formatFinding(f)); }
}
console.log(rules, dec, ms / n);
await runner.close();
