// Use three npm clients against the server whose base URL is the argument; prints "ok" or the error of each as JSON.
import assert from "node:assert/strict";
import { MedplumClient } from "@medplum/core";
import * as kit from "fhir-kit-client";
import FhirClient from "fhirclient/lib/FhirClient.js";

const [base] = process.argv.slice(2);
const results = {};

const patient = (value, more = {}) => ({
  resourceType: "Patient",
  identifier: [{ system: "urn:npm", value }],
  ...more,
});
const observation = (patientId) => ({
  resourceType: "Observation",
  status: "final",
  code: { text: "result" },
  subject: { reference: `Patient/${patientId}` },
});
const transaction = {
  resourceType: "Bundle",
  type: "transaction",
  entry: [{ resource: { resourceType: "Patient" }, request: { method: "POST", url: "Patient" } }],
};

async function medplum() {
  const client = new MedplumClient({ baseUrl: base.replace(/fhir$/, ""), fhirUrlPath: "fhir/", fetch, cacheTime: 0 });
  const created = await client.createResource(patient("medplum"));
  assert.equal((await client.readResource("Patient", created.id)).id, created.id);
  const same = await client.createResourceIfNoneExist(patient("medplum"), "identifier=urn:npm|medplum");
  assert.equal(same.id, created.id);
  assert.equal((await client.updateResource({ ...created, gender: "male" })).meta.versionId, "2");
  const upserted = await client.upsertResource(patient("medplum", { gender: "other" }), "identifier=urn:npm|medplum");
  assert.equal(upserted.id, created.id);
  const patched = await client.patchResource("Patient", created.id, [{ op: "replace", path: "/gender", value: "female" }]);
  assert.equal(patched.gender, "female");
  for (let i = 0; i < 3; i++) await client.createResource(observation(created.id));
  let matches = 0;
  const query = { subject: `Patient/${created.id}`, _count: 2, _include: "Observation:subject" };
  for await (const page of client.searchResourcePages("Observation", query)) {
    matches += page.filter((resource) => resource.resourceType === "Observation").length;
  }
  assert.equal(matches, 3);
  assert.equal((await client.readHistory("Patient", created.id)).entry.length, 4);
  assert.equal((await client.executeBatch(transaction)).entry[0].response.status, "201 Created");
  await client.deleteResource("Patient", created.id);
  await assert.rejects(client.readResource("Patient", created.id, { cache: "reload" }));
}

async function fhirKit() {
  const Client = kit.Client ?? kit.default;
  const client = new Client({ baseUrl: base });
  const created = await client.create({ resourceType: "Patient", body: patient("kit") });
  const { id } = created;
  assert.equal((await client.read({ resourceType: "Patient", id })).id, id);
  assert.equal((await client.vread({ resourceType: "Patient", id, version: "1" })).meta.versionId, "1");
  const changed = await client.update({ resourceType: "Patient", id, body: { ...created, gender: "male" } });
  assert.equal(changed.meta.versionId, "2");
  const updated = await client.update({
    resourceType: "Patient", searchParams: { identifier: "urn:npm|kit" }, body: patient("kit", { gender: "other" }),
  });
  assert.equal(updated.id, id);
  for (let i = 0; i < 3; i++) await client.create({ resourceType: "Observation", body: observation(id) });
  const page = await client.search({
    resourceType: "Observation", searchParams: { subject: `Patient/${id}`, _count: 2, _include: "Observation:subject" },
  });
  assert.equal(page.entry.length, 3);
  assert.equal((await client.nextPage({ bundle: page })).entry.filter((entry) => entry.search.mode === "match").length, 1);
  const posted = await client.search({
    resourceType: "Patient", searchParams: { identifier: "urn:npm|kit" }, options: { postSearch: true },
  });
  assert.equal(posted.entry.length, 1);
  assert.equal((await client.history({ resourceType: "Patient", id })).entry.length, 3);
  assert.equal((await client.transaction({ body: transaction })).entry[0].response.status, "201 Created");
  assert.equal((await client.capabilityStatement()).fhirVersion, "4.0.1");
  await client.delete({ resourceType: "Patient", id });
  await assert.rejects(client.read({ resourceType: "Patient", id }));
}

async function smart() {
  const Client = FhirClient.default ?? FhirClient;
  const client = new Client(base);
  const created = await client.create(patient("smart"));
  const { id } = created;
  assert.equal((await client.fhirRequest(`Patient/${id}`)).id, id);
  assert.equal((await client.update({ ...created, gender: "male" })).meta.versionId, "2");
  const patched = await client.patch(`Patient/${id}`, [{ op: "replace", path: "/gender", value: "female" }]);
  assert.equal(patched.gender, "female");
  for (let i = 0; i < 3; i++) await client.create(observation(id));
  const page = await client.fhirRequest(`Observation?subject=Patient/${id}&_count=2&_include=Observation:subject`);
  assert.equal(page.entry.length, 3);
  const next = page.link.find((link) => link.relation === "next").url;
  assert.equal((await client.fhirRequest(next)).entry.filter((entry) => entry.search.mode === "match").length, 1);
  assert.equal((await client.fhirRequest(`Patient/${id}/_history`)).entry.length, 3);
  await client.delete(`Patient/${id}`);
  await assert.rejects(client.fhirRequest(`Patient/${id}`));
}

for (const [name, run] of Object.entries({ medplum, fhirKit, smart })) {
  try {
    await run();
    results[name] = "ok";
  } catch (error) {
    results[name] = `${error.message} ${error.stack?.split("\n").slice(0, 4).join(" ")} ${JSON.stringify(error.outcome ?? error.response?.data ?? "").slice(0, 300)}`;
  }
}
console.log(JSON.stringify(results));
