import type { Command } from 'commander';

/** `kai reservation`: the agent in a GPU reservation pod (spec 07 section 8). */
export function registerReservation(program: Command): void {
  program
    .command('reservation')
    .description('report the GPU of this reservation pod to the scheduler, then hold it until the pod ends')
    .option('--kubeconfig <file>', 'instead of the service account of the pod')
    .action(runReservation);
}

/** Reports, then stays alive until SIGTERM. Throws KaiError: the kubelet starts the container again. */
async function runReservation({ kubeconfig }: { readonly kubeconfig?: string }): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  const [{ connect }, { reportGpu }] = await Promise.all([import('../kubernetes/connection.ts'), import('../binder/reservationAgent.ts')]);
  const connection = connect({ source: kubeconfig === undefined ? { kind: 'default' } : { kind: 'file', path: kubeconfig } });
  try {
    const device = await reportGpu(connection, process.env);
    console.log(`holding GPU ${device}`);
  } finally {
    await connection.close();
  }
  // Signals alone do not keep a process alive.
  const alive = setInterval(() => undefined, 3_600_000);
  await ended;
  clearInterval(alive);
}
