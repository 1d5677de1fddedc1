/** What a page posts to /report when it is done with /job.json. */
export type Report<Outcome> = { readonly outcome: Outcome } | { readonly error: string };

/** Does the job of this visit; runs in pages and their workers. */
export async function answer<Job, Outcome>(perform: (job: Job) => Promise<Outcome>): Promise<void> {
  const report = (body: Report<Outcome>): Promise<Response> => fetch("/report", { method: "POST", body: JSON.stringify(body) });
  const job = (await (await fetch("/job.json")).json()) as Job;
  await perform(job).then(
    (outcome) => report({ outcome }),
    (error: unknown) => report({ error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) }),
  );
}
