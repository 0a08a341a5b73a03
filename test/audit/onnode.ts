import { randomCluster } from '../support/randomCluster.ts';
const o = randomCluster(Number(process.argv[2]));
for (const p of o.pods) if (p.spec.nodeName === process.argv[3]) console.log(p.metadata.name, p.status?.phase, p.metadata.deletionTimestamp ?? '');
for (const p of o.bindRequests) if (p.spec?.selectedNode === process.argv[3]) console.log('br', p.metadata.name, p.status?.phase);
