// A client made of types generated from openapi.yaml: it compiles as long as the contract says what clients rely on.
import createClient from "openapi-fetch";
import type { components, paths } from "./contract";

type Operation = components["schemas"]["BatchOperation"];

const client = createClient<paths>({
  baseUrl: "https://api.example.com/prod",
  headers: { Authorization: "Bearer token" },
});

const operations: Operation[] = [
  { id: "ada", entity: "artist", action: "create", store_params: { name: "Ada" } },
  { id: "notes", entity: "album", action: "create", store_params: { title: "Notes", artist_id: "$ref:ada.artist_id" } },
];

export async function run(): Promise<string> {
  const { data, error } = await client.POST("/batch", {
    params: { header: { "Idempotency-Key": "one" } },
    body: { operations, options: { atomic: true } },
  });
  if (error) {
    // One of two shapes: problem+json where the client asked for it.
    throw new Error("message" in error ? `${error.error}: ${error.message}` : error.detail);
  }
  const batchId: string | null | undefined = data.batchId;
  if (!batchId) {
    throw new Error("nothing was accepted");
  }
  const batch = await client.GET("/batches/{batchId}", { params: { path: { batchId } } });
  const results = await client.GET("/batches/{batchId}/results", {
    params: { path: { batchId }, query: { status: "failed", limit: 10 } },
  });
  const failed = results.data?.data.map((result) => result.id) ?? [];
  return `${batch.data?.status}: ${batch.data?.summary.successful} done, ${failed.length} failed`;
}
