// Use HAPI FHIR's generic client, with its defaults, against the server whose base URL is the argument.
// Prints the name of each step that passes; the first that fails ends the program with its exception.

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.PreferReturnEnum;
import ca.uhn.fhir.rest.api.SearchStyleEnum;
import ca.uhn.fhir.rest.api.SearchTotalModeEnum;
import ca.uhn.fhir.rest.api.SummaryEnum;
import ca.uhn.fhir.rest.client.api.IClientInterceptor;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.client.api.IHttpRequest;
import ca.uhn.fhir.rest.client.api.IHttpResponse;
import ca.uhn.fhir.rest.gclient.IQuery;
import ca.uhn.fhir.rest.param.DateRangeParam;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import ca.uhn.fhir.rest.server.exceptions.NotModifiedException;
import ca.uhn.fhir.rest.server.exceptions.PreconditionFailedException;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import ca.uhn.fhir.rest.server.exceptions.UnprocessableEntityException;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.hl7.fhir.instance.model.api.IBaseBundle;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.instance.model.api.IIdType;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Bundle.BundleEntryComponent;
import org.hl7.fhir.r4.model.Bundle.BundleType;
import org.hl7.fhir.r4.model.Bundle.HTTPVerb;
import org.hl7.fhir.r4.model.Bundle.SearchEntryMode;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.DateTimeType;
import org.hl7.fhir.r4.model.Enumerations.AdministrativeGender;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.Observation.ObservationStatus;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.OperationOutcome.IssueSeverity;
import org.hl7.fhir.r4.model.OperationOutcome.IssueType;
import org.hl7.fhir.r4.model.OperationOutcome.OperationOutcomeIssueComponent;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.StringType;

public class Hapi {
  private static final String SYSTEM = "urn:hapi";
  private static final int RESULTS = 5;

  private final IGenericClient client;
  private final List<String> requestedUris = new ArrayList<>();
  private Patient patient;

  private Hapi(String base) {
    client = FhirContext.forR4().newRestfulGenericClient(base);
    client.registerInterceptor(new IClientInterceptor() {
      @Override
      public void interceptRequest(IHttpRequest request) {
        requestedUris.add(request.getUri());
      }

      @Override
      public void interceptResponse(IHttpResponse response) {}
    });
  }

  public static void main(String[] arguments) {
    Hapi hapi = new Hapi(arguments[0]);
    hapi.step("create", hapi::create);
    hapi.step("capabilities", hapi::capabilities);
    hapi.step("read", hapi::read);
    hapi.step("update", hapi::update);
    hapi.step("vread", hapi::vread);
    hapi.step("stale update", hapi::staleUpdate);
    hapi.step("conditional create", hapi::conditionalCreate);
    hapi.step("conditional update", hapi::conditionalUpdate);
    hapi.step("patch", hapi::patch);
    hapi.step("return preferences", hapi::returnPreferences);
    hapi.step("transaction", hapi::transaction);
    hapi.step("transaction of resources", hapi::transactionOfResources);
    hapi.step("batch", hapi::batch);
    hapi.step("search", hapi::search);
    hapi.step("pages", hapi::pages);
    hapi.step("totals", hapi::totals);
    hapi.step("parts", hapi::parts);
    hapi.step("history", hapi::history);
    hapi.step("validate", hapi::validate);
    hapi.step("everything", hapi::everything);
    hapi.step("invalid", hapi::invalid);
    hapi.step("delete", hapi::delete);
    hapi.step("unknown", hapi::unknown);
  }

  private void create() {
    MethodOutcome outcome = client.create().resource(patient("one").setActive(true)).execute();
    assertEquals(true, outcome.getCreated());
    assertEquals("Patient", outcome.getId().getResourceType());
    assertEquals("1", outcome.getId().getVersionIdPart());
    patient = (Patient) outcome.getResource();
    assertEquals(outcome.getId().getIdPart(), patient.getIdPart());
    assertEquals("1", patient.getMeta().getVersionId());
  }

  private void capabilities() {
    String base = client.getServerBase();
    assertEquals(List.of(base + "/metadata", base + "/Patient"), requestedUris);
    CapabilityStatement statement = client.capabilities().ofType(CapabilityStatement.class).execute();
    assertEquals("4.0.1", statement.getFhirVersion().toCode());
  }

  private void read() {
    assertEquals(true, client.read().resource(Patient.class).withId(patient.getIdPart()).execute().getActive());
    String url = client.getServerBase() + "/Patient/" + patient.getIdPart();
    Patient byUrl = client.read().resource(Patient.class).withUrl(url).execute();
    assertEquals("1", byUrl.getIdElement().getVersionIdPart());
    assertThrows(NotModifiedException.class, () ->
        client.read().resource(Patient.class).withUrl(url).ifVersionMatches("1").throwNotModifiedException()
            .execute());
  }

  private void update() {
    patient.setGender(AdministrativeGender.MALE);
    MethodOutcome outcome = client.update().resource(patient).execute();
    assertEquals(patient.getIdPart(), outcome.getId().getIdPart());
    assertEquals("2", outcome.getId().getVersionIdPart());
    assertEquals(false, Boolean.TRUE.equals(outcome.getCreated()));
    assertEquals(AdministrativeGender.MALE, ((Patient) outcome.getResource()).getGender());
    Patient own = patient("own").setActive(true);
    own.setId("own-id-of-hapi");
    outcome = client.update().resource(own).execute();
    assertEquals(true, outcome.getCreated());
    assertEquals("Patient/own-id-of-hapi/_history/1", outcome.getId().toUnqualified().getValue());
  }

  private void vread() {
    Patient first = client.read().resource(Patient.class).withIdAndVersion(patient.getIdPart(), "1").execute();
    assertEquals(false, first.hasGender());
    assertEquals("1", first.getIdElement().getVersionIdPart());
  }

  /** What was read carries its version, which the client sends as If-Match. */
  private void staleUpdate() {
    assertEquals("1", patient.getIdElement().getVersionIdPart());
    patient.setGender(AdministrativeGender.OTHER);
    assertThrows(PreconditionFailedException.class, () -> client.update().resource(patient).execute());
    patient = client.read().resource(Patient.class).withId(patient.getIdPart()).execute();
    assertEquals(AdministrativeGender.MALE, patient.getGender());
  }

  private void conditionalCreate() {
    String condition = "Patient?identifier=" + SYSTEM + "|one";
    MethodOutcome outcome = client.create().resource(patient("one")).conditionalByUrl(condition).execute();
    assertEquals(patient.getIdPart(), outcome.getId().getIdPart());
    assertEquals(false, Boolean.TRUE.equals(outcome.getCreated()));
    outcome = client.create().resource(patient("two")).conditional()
        .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "two")).execute();
    assertEquals(true, outcome.getCreated());
  }

  private void conditionalUpdate() {
    MethodOutcome outcome = client.update().resource(patient("one").setGender(AdministrativeGender.OTHER))
        .conditional().where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "one")).execute();
    assertEquals(patient.getIdPart(), outcome.getId().getIdPart());
    assertEquals("3", outcome.getId().getVersionIdPart());
    outcome = client.update().resource(patient("three"))
        .conditionalByUrl("Patient?identifier=" + SYSTEM + "%7Cthree").execute();
    assertEquals(true, outcome.getCreated());
  }

  private void patch() {
    String operations = "[{\"op\": \"replace\", \"path\": \"/gender\", \"value\": \"female\"}]";
    MethodOutcome outcome = client.patch().withBody(operations).withId(patient.getIdElement()).execute();
    assertEquals("4", outcome.getId().getVersionIdPart());
    assertEquals(AdministrativeGender.FEMALE, ((Patient) outcome.getResource()).getGender());
    outcome = client.patch().withBody(operations.replace("female", "male"))
        .conditionalByUrl("Patient?identifier=" + SYSTEM + "|one").execute();
    assertEquals("5", outcome.getId().getVersionIdPart());
    assertThrows(PreconditionFailedException.class, () ->
        client.patch().withBody(operations).withId(patient.getIdElement()).withAdditionalHeader("If-Match", "W/\"1\"")
            .execute());
  }

  private void returnPreferences() {
    MethodOutcome minimal = client.create().resource(patient("minimal")).prefer(PreferReturnEnum.MINIMAL).execute();
    assertEquals("1", minimal.getId().getVersionIdPart());
    assertEquals(null, minimal.getResource());
    MethodOutcome withOutcome = client.create().resource(patient("outcome"))
        .prefer(PreferReturnEnum.OPERATION_OUTCOME).execute();
    assertEquals("1", withOutcome.getId().getVersionIdPart());
    assertEquals(true, withOutcome.getOperationOutcome() instanceof OperationOutcome);
  }

  private void transaction() {
    Bundle bundle = new Bundle().setType(BundleType.TRANSACTION);
    String fullUrl = "urn:uuid:7d0fb7c5-5a1e-4a52-9e0f-3f1f2a4d9c11";
    bundle.addEntry().setFullUrl(fullUrl).setResource(patient("transaction"))
        .getRequest().setMethod(HTTPVerb.POST).setUrl("Patient")
        .setIfNoneExist("identifier=" + SYSTEM + "|transaction");
    for (int number = 0; number < RESULTS; number++) {
      bundle.addEntry().setResource(observation(fullUrl, number))
          .getRequest().setMethod(HTTPVerb.POST).setUrl("Observation");
    }
    Bundle response = client.transaction().withBundle(bundle).execute();
    assertEquals(BundleType.TRANSACTIONRESPONSE, response.getType());
    assertEquals(RESULTS + 1, response.getEntry().size());
    IdType patientId = new IdType(response.getEntryFirstRep().getResponse().getLocation());
    assertEquals("1", patientId.getVersionIdPart());
    for (BundleEntryComponent entry : response.getEntry().subList(1, RESULTS + 1)) {
      assertEquals("201 Created", entry.getResponse().getStatus());
      Observation observation = client.read().resource(Observation.class)
          .withId(new IdType(entry.getResponse().getLocation()).getIdPart()).execute();
      assertEquals("Patient/" + patientId.getIdPart(), observation.getSubject().getReference());
    }
    patient = client.read().resource(Patient.class).withId(patientId.getIdPart()).execute();
  }

  /** The client builds the entries: without a URL, or with the URL of the version that was read. */
  private void transactionOfResources() {
    Patient withId = patient("resources");
    withId.setId("Patient/hapi-resources");
    List<IBaseResource> results = client.transaction().withResources(List.of(patient("resources"), withId)).execute();
    assertEquals(List.of("1", "1"),
        results.stream().map(resource -> resource.getIdElement().getVersionIdPart()).toList());
    assertEquals("hapi-resources", results.get(1).getIdElement().getIdPart());
    Patient read = (Patient) client.search().byUrl("Patient?_id=hapi-resources").returnBundle(Bundle.class).execute()
        .getEntryFirstRep().getResource();
    results = client.transaction().withResources(List.of(read.setActive(true))).execute();
    assertEquals("2", results.get(0).getIdElement().getVersionIdPart());
    assertThrows(PreconditionFailedException.class, () ->
        client.transaction().withResources(List.of(read.setActive(false))).execute());
  }

  private void batch() {
    Bundle bundle = new Bundle().setType(BundleType.BATCH);
    for (String url : List.of(patient.getIdElement().toUnqualifiedVersionless().getValue(), "Patient/unknown")) {
      bundle.addEntry().getRequest().setMethod(HTTPVerb.GET).setUrl(url);
    }
    List<BundleEntryComponent> entries = client.transaction().withBundle(bundle).execute().getEntry();
    assertEquals(patient.getIdPart(), entries.get(0).getResource().getIdPart());
    assertEquals("404", entries.get(1).getResponse().getStatus());
    assertEquals(true, hasErrors((OperationOutcome) entries.get(1).getResponse().getOutcome()));
  }

  private void search() {
    Bundle page = observations().count(2).include(Observation.INCLUDE_SUBJECT).sort().ascending(Observation.DATE)
        .execute();
    List<SearchEntryMode> modes = page.getEntry().stream().map(entry -> entry.getSearch().getMode()).toList();
    assertEquals(List.of(SearchEntryMode.MATCH, SearchEntryMode.MATCH, SearchEntryMode.INCLUDE), modes);
    assertEquals(List.of("result 0", "result 1"), texts(page).subList(0, 2));
    Bundle last = observations().sort().descending(Observation.DATE).execute();
    assertEquals("result 4", texts(last).get(0));
    Bundle posted = observations().usingStyle(SearchStyleEnum.POST).execute();
    assertEquals(RESULTS, posted.getEntry().size());
    Bundle chained = client.search().forResource(Observation.class)
        .where(Observation.SUBJECT.hasChainedProperty("Patient",
            Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "transaction")))
        .and(Observation.DATE.afterOrEquals().day("2026-03-04")).returnBundle(Bundle.class).execute();
    assertEquals(2, chained.getEntry().size());
    Date updated = patient.getMeta().getLastUpdated();
    assertEquals(RESULTS, observations().lastUpdated(new DateRangeParam(updated, null)).execute().getEntry().size());
    DateRangeParam before = new DateRangeParam(null, new Date(updated.getTime() - 1));
    assertEquals(0, observations().lastUpdated(before).execute().getEntry().size());
    Bundle reverse = client.search().forResource(Patient.class)
        .where(Patient.RES_ID.exactly().code(patient.getIdPart())).revInclude(Observation.INCLUDE_SUBJECT).returnBundle(Bundle.class).execute();
    assertEquals(RESULTS + 1, reverse.getEntry().size());
    Bundle byUrl = client.search().byUrl("Patient?identifier=" + SYSTEM + "|transaction").returnBundle(Bundle.class)
        .execute();
    assertEquals(patient.getIdPart(), byUrl.getEntryFirstRep().getResource().getIdPart());
  }

  private void pages() {
    Set<String> ids = new HashSet<>();
    Bundle page = observations().count(2).execute();
    int pages = 1;
    page.getEntry().forEach(entry -> ids.add(entry.getResource().getIdPart()));
    while (page.getLink(IBaseBundle.LINK_NEXT) != null) {
      page = client.loadPage().next(page).execute();
      page.getEntry().forEach(entry -> ids.add(entry.getResource().getIdPart()));
      pages++;
    }
    assertEquals(3, pages);
    assertEquals(RESULTS, ids.size());
  }

  private void totals() {
    Bundle accurate = observations().count(1).totalMode(SearchTotalModeEnum.ACCURATE).execute();
    assertEquals(RESULTS, accurate.getTotal());
    Bundle count = observations().summaryMode(SummaryEnum.COUNT).execute();
    assertEquals(RESULTS, count.getTotal());
    assertEquals(false, count.hasEntry());
  }

  private void parts() {
    Bundle subset = observations().elementsSubset("status").execute();
    Observation observation = (Observation) subset.getEntryFirstRep().getResource();
    assertEquals(ObservationStatus.FINAL, observation.getStatus());
    assertEquals(false, observation.hasSubject());
    assertEquals("SUBSETTED", observation.getMeta().getTagFirstRep().getCode());
    assertThrows(UnprocessableEntityException.class, () -> client.update().resource(observation).execute());
    Bundle data = observations().summaryMode(SummaryEnum.DATA).execute();
    assertEquals(RESULTS, data.getEntry().size());
  }

  private void history() {
    IIdType id = patient.getIdElement().toUnqualifiedVersionless();
    patient.setActive(true);
    client.update().resource(patient).execute();
    Bundle versions = client.history().onInstance(id).returnBundle(Bundle.class).execute();
    assertEquals(BundleType.HISTORY, versions.getType());
    assertEquals(List.of("2", "1"), versions.getEntry().stream()
        .map(entry -> entry.getResource().getIdElement().getVersionIdPart()).toList());
    assertEquals(List.of(HTTPVerb.PUT, HTTPVerb.POST), versions.getEntry().stream()
        .map(entry -> entry.getRequest().getMethod()).toList());
    Bundle page = client.history().onInstance(id).returnBundle(Bundle.class).count(1).execute();
    assertEquals("1", client.loadPage().next(page).execute().getEntryFirstRep().getResource().getMeta().getVersionId());
    Bundle since = client.history().onInstance(id).returnBundle(Bundle.class)
        .since(versions.getEntryFirstRep().getResource().getMeta().getLastUpdated()).execute();
    assertEquals("2", since.getEntryFirstRep().getResource().getMeta().getVersionId());
    Bundle type = client.history().onType(Patient.class).returnBundle(Bundle.class).count(1).execute();
    assertEquals(patient.getIdPart(), type.getEntryFirstRep().getResource().getIdPart());
  }

  private void validate() {
    MethodOutcome valid = client.validate().resource(observation("Patient/" + patient.getIdPart(), 0)).execute();
    assertEquals(false, hasErrors((OperationOutcome) valid.getOperationOutcome()));
    MethodOutcome invalid = client.validate().resource(observationWithoutStatus()).execute();
    assertEquals(true, hasErrors((OperationOutcome) invalid.getOperationOutcome()));
  }

  private void everything() {
    IIdType id = patient.getIdElement().toUnqualifiedVersionless();
    Bundle bundle = client.operation().onInstance(id).named("$everything").withNoParameters(Parameters.class)
        .useHttpGet().returnResourceType(Bundle.class).execute();
    assertEquals(RESULTS + 1, bundle.getEntry().size());
    Parameters posted = client.operation().onInstance(id).named("$everything").withNoParameters(Parameters.class)
        .execute();
    assertEquals(RESULTS + 1, ((Bundle) posted.getParameterFirstRep().getResource()).getEntry().size());
    Bundle types = client.operation().onInstance(id).named("$everything")
        .withParameter(Parameters.class, "_type", new StringType("Observation"))
        .returnResourceType(Bundle.class).execute();
    assertEquals(RESULTS, types.getEntry().size());
  }

  private void invalid() {
    OperationOutcome outcome = assertThrows(UnprocessableEntityException.class, () ->
        client.create().resource(observationWithoutStatus()).execute());
    OperationOutcomeIssueComponent issue = outcome.getIssueFirstRep();
    assertEquals(IssueSeverity.ERROR, issue.getSeverity());
    assertEquals(IssueType.STRUCTURE, issue.getCode());
    assertEquals("Observation", issue.getExpression().get(0).getValue());
  }

  private void delete() {
    client.delete().resourceById(patient.getIdElement().toUnqualifiedVersionless()).execute();
    assertThrows(ResourceGoneException.class, () ->
        client.read().resource(Patient.class).withId(patient.getIdPart()).execute());
    client.delete().resourceConditionalByType(Patient.class)
        .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "three")).execute();
    Bundle versions = client.history().onInstance(patient.getIdElement().toUnqualifiedVersionless())
        .returnBundle(Bundle.class).execute();
    assertEquals(HTTPVerb.DELETE, versions.getEntryFirstRep().getRequest().getMethod());
    assertThrows(ResourceGoneException.class, () ->
        client.read().resource(Patient.class).withId(patient.getIdPart()).execute());
  }

  private void unknown() {
    assertThrows(ResourceNotFoundException.class, () ->
        client.read().resource(Patient.class).withId("unknown").execute());
    assertThrows(ResourceNotFoundException.class, () ->
        client.read().resource(Patient.class).withIdAndVersion(patient.getIdPart(), "99").execute());
  }

  private IQuery<Bundle> observations() {
    return client.search().forResource(Observation.class)
        .where(Observation.SUBJECT.hasId("Patient/" + patient.getIdPart())).returnBundle(Bundle.class);
  }

  private void step(String name, Runnable test) {
    test.run();
    System.out.println(name);
  }

  private static Patient patient(String value) {
    Patient patient = new Patient();
    patient.addIdentifier().setSystem(SYSTEM).setValue(value);
    return patient;
  }

  private static Observation observation(String subject, int number) {
    Observation observation = new Observation().setStatus(ObservationStatus.FINAL);
    observation.getCode().setText("result " + number);
    observation.getSubject().setReference(subject);
    observation.setEffective(new DateTimeType("2026-03-0" + (number + 1)));
    return observation;
  }

  /** An Observation without status, which R4 requires. */
  private static Observation observationWithoutStatus() {
    return observation("Patient/unknown", 0).setStatus(null);
  }

  private static List<String> texts(Bundle bundle) {
    return bundle.getEntry().stream().map(BundleEntryComponent::getResource)
        .filter(Observation.class::isInstance).map(resource -> ((Observation) resource).getCode().getText()).toList();
  }

  private static boolean hasErrors(OperationOutcome outcome) {
    return outcome.getIssue().stream().anyMatch(issue -> issue.getSeverity() == IssueSeverity.ERROR);
  }

  private static void assertEquals(Object expected, Object actual) {
    if (!Objects.equals(expected, actual)) {
      throw new AssertionError("expected " + expected + ", got " + actual);
    }
  }

  /** Return the OperationOutcome of the exception, which must be of the type. */
  private static OperationOutcome assertThrows(Class<? extends BaseServerResponseException> type, Runnable request) {
    try {
      request.run();
    } catch (BaseServerResponseException exception) {
      if (!type.isInstance(exception)) {
        throw exception;
      }
      return (OperationOutcome) exception.getOperationOutcome();
    }
    throw new AssertionError("expected " + type.getSimpleName());
  }
}
