import { randomCluster, CLUSTER_NOW_MS } from '../support/randomCluster.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { auditCycle, formatFinding } from '../../src/audit/audit.ts';
const config = loadConfig({}).config;
const runner = createCycleRunner({ workers: 0 });
const seed = Number(process.argv[2]);
const only = process.argv.slice(3);
const objects = randomCluster(seed);
const view = snapshotOf(objects);
const { decisions, report } = await runner.run(view, config, CLUSTER_NOW_MS);
for (const g of objects.podGroups) if (only.length === 0 || only.includes(g.metadata.name)) {
  console.log(g.metadata.name, JSON.stringify(g.spec));
  for (const p of objects.pods) if (p.metadata.annotations?.['pod-group-name'] === g.metadata.name && p.metadata.namespace === g.metadata.namespace) console.log('   ', p.metadata.name, p.status?.phase, p.spec.nodeName, p.metadata.deletionTimestamp ?? '', p.metadata.labels?.['kai.scheduler/subgroup-name'] ?? '', JSON.stringify(p.spec.containers?.[0]?.resources?.requests), JSON.stringify(p.metadata.annotations), JSON.stringify(p.spec.schedulingGates ?? ''));
}
console.log('DECISIONS');
for (const d of decisions) console.log(d.action, d.kind, d.pod, d.node, d.gpuGroups.join(','), d.gpuPortion, d.details ? JSON.stringify({ ...d.details, message: undefined }) : '');
for (const f of auditCycle({ objects, config, nowMs: CLUSTER_NOW_MS, decisions, report })) console.log('FINDING', formatFinding(f));
if (only.includes('queues')) for (const q of objects.queues) console.log(q.metadata.name, JSON.stringify(q.spec));
if (only.includes('nodes')) for (const q of objects.nodes) console.log(q.metadata.name, JSON.stringify(q.status?.allocatable), JSON.stringify(q.metadata.labels));
await runner.close();
