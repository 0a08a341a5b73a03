// The control plane of the tests by hand: see the help text.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildControlPlane, pinVersion } from './build.ts';
import { startControlPlane } from './controlPlane.ts';

const HELP = `npm run control-plane -- build [--version 1.37.2]    compile into the cache, print the folder
npm run control-plane -- pin --version 1.36.3       write k8s-1.36.mod and .sum for another release
npm run control-plane -- start [--version 1.37.2] [--folder DIR] [--sync] [--no-controllers]
                               [--api-arg X]... [--controller-arg X]...
      run in the foreground; prints one JSON line when ready; SIGINT or SIGTERM ends it

KUBEBUILDER_ASSETS       folder of ready-made programs, used instead of a build
KAI_CONTROL_PLANE_CACHE  where builds are kept (default ~/.cache/kai-control-plane)
KAI_CONTROL_PLANE_KEEP   keep the folders of stopped servers`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      version: { type: 'string' },
      folder: { type: 'string' },
      sync: { type: 'boolean' },
      'no-controllers': { type: 'boolean' },
      'api-arg': { type: 'string', multiple: true },
      'controller-arg': { type: 'string', multiple: true },
    },
  });
  const command = positionals[0];
  if (command === 'build') console.log(await buildControlPlane(values.version));
  else if (command === 'pin' && values.version !== undefined) console.log(await pinVersion(values.version));
  else if (command === 'start') {
    const plane = await startControlPlane({
      version: values.version,
      folder: values.folder,
      isSynced: values.sync,
      controllers: values['no-controllers'] === true ? [] : undefined,
      apiServerArgs: values['api-arg'],
      controllerArgs: values['controller-arg'],
    });
    const { url, folder, kubeconfig, kubectl, startTimes } = plane;
    console.log(JSON.stringify({ url, folder, kubeconfig, kubectl, startTimes }));
    const ended = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
    await sleep(2 ** 31 - 1, undefined, { signal: ended.signal }).catch(() => undefined);
    await plane.stop();
  } else {
    console.error(HELP);
    return 2;
  }
  return 0;
}

process.exitCode = await main();
