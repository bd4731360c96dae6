// What HAPI FHIR's generic client does against the server at the base url given, with its own defaults.
// Each step that went as expected is a line; the first that did not ends the program.

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
  private final List<String> asked = new ArrayList<>();
  private Patient patient;

  private Hapi(String base) {
    client = FhirContext.forR4().newRestfulGenericClient(base);
    client.registerInterceptor(new IClientInterceptor() {
      @Override
      public void interceptRequest(IHttpRequest request) {
        asked.add(request.getUri());
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
    MethodOutcome outcome = client.create().resource(named("one").setActive(true)).execute();
    same(true, outcome.getCreated());
    same("Patient", outcome.getId().getResourceType());
    same("1", outcome.getId().getVersionIdPart());
    patient = (Patient) outcome.getResource();
    same(outcome.getId().getIdPart(), patient.getIdPart());
    same("1", patient.getMeta().getVersionId());
  }

  private void capabilities() {
    String base = client.getServerBase();
    same(List.of(base + "/metadata", base + "/Patient"), asked);
    CapabilityStatement statement = client.capabilities().ofType(CapabilityStatement.class).execute();
    same("4.0.1", statement.getFhirVersion().toCode());
  }

  private void read() {
    same(true, client.read().resource(Patient.class).withId(patient.getIdPart()).execute().getActive());
    String whole = client.getServerBase() + "/Patient/" + patient.getIdPart();
    Patient found = client.read().resource(Patient.class).withUrl(whole).execute();
    same("1", found.getIdElement().getVersionIdPart());
    refused(NotModifiedException.class, () ->
        client.read().resource(Patient.class).withUrl(whole).ifVersionMatches("1").throwNotModifiedException()
            .execute());
  }

  private void update() {
    patient.setGender(AdministrativeGender.MALE);
    MethodOutcome outcome = client.update().resource(patient).execute();
    same(patient.getIdPart(), outcome.getId().getIdPart());
    same("2", outcome.getId().getVersionIdPart());
    same(false, Boolean.TRUE.equals(outcome.getCreated()));
    same(AdministrativeGender.MALE, ((Patient) outcome.getResource()).getGender());
    Patient own = named("own").setActive(true);
    own.setId("own-id-of-hapi");
    outcome = client.update().resource(own).execute();
    same(true, outcome.getCreated());
    same("Patient/own-id-of-hapi/_history/1", outcome.getId().toUnqualified().getValue());
  }

  private void vread() {
    Patient first = client.read().resource(Patient.class).withIdAndVersion(patient.getIdPart(), "1").execute();
    same(false, first.hasGender());
    same("1", first.getIdElement().getVersionIdPart());
  }

  /** What was read carries its version, which the client sends as If-Match. */
  private void staleUpdate() {
    same("1", patient.getIdElement().getVersionIdPart());
    patient.setGender(AdministrativeGender.OTHER);
    refused(PreconditionFailedException.class, () -> client.update().resource(patient).execute());
    patient = client.read().resource(Patient.class).withId(patient.getIdPart()).execute();
    same(AdministrativeGender.MALE, patient.getGender());
  }

  private void conditionalCreate() {
    String condition = "Patient?identifier=" + SYSTEM + "|one";
    MethodOutcome outcome = client.create().resource(named("one")).conditionalByUrl(condition).execute();
    same(patient.getIdPart(), outcome.getId().getIdPart());
    same(false, Boolean.TRUE.equals(outcome.getCreated()));
    outcome = client.create().resource(named("two")).conditional()
        .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "two")).execute();
    same(true, outcome.getCreated());
  }

  private void conditionalUpdate() {
    MethodOutcome outcome = client.update().resource(named("one").setGender(AdministrativeGender.OTHER))
        .conditional().where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "one")).execute();
    same(patient.getIdPart(), outcome.getId().getIdPart());
    same("3", outcome.getId().getVersionIdPart());
    outcome = client.update().resource(named("three"))
        .conditionalByUrl("Patient?identifier=" + SYSTEM + "%7Cthree").execute();
    same(true, outcome.getCreated());
  }

  private void patch() {
    String operations = "[{\"op\": \"replace\", \"path\": \"/gender\", \"value\": \"female\"}]";
    MethodOutcome outcome = client.patch().withBody(operations).withId(patient.getIdElement()).execute();
    same("4", outcome.getId().getVersionIdPart());
    same(AdministrativeGender.FEMALE, ((Patient) outcome.getResource()).getGender());
    outcome = client.patch().withBody(operations.replace("female", "male"))
        .conditionalByUrl("Patient?identifier=" + SYSTEM + "|one").execute();
    same("5", outcome.getId().getVersionIdPart());
    refused(PreconditionFailedException.class, () ->
        client.patch().withBody(operations).withId(patient.getIdElement()).withAdditionalHeader("If-Match", "W/\"1\"")
            .execute());
  }

  private void returnPreferences() {
    MethodOutcome minimal = client.create().resource(named("minimal")).prefer(PreferReturnEnum.MINIMAL).execute();
    same("1", minimal.getId().getVersionIdPart());
    same(null, minimal.getResource());
    MethodOutcome told = client.create().resource(named("told")).prefer(PreferReturnEnum.OPERATION_OUTCOME).execute();
    same("1", told.getId().getVersionIdPart());
    same(true, told.getOperationOutcome() instanceof OperationOutcome);
  }

  private void transaction() {
    Bundle bundle = new Bundle().setType(BundleType.TRANSACTION);
    String name = "urn:uuid:7d0fb7c5-5a1e-4a52-9e0f-3f1f2a4d9c11";
    bundle.addEntry().setFullUrl(name).setResource(named("transaction"))
        .getRequest().setMethod(HTTPVerb.POST).setUrl("Patient")
        .setIfNoneExist("identifier=" + SYSTEM + "|transaction");
    for (int number = 0; number < RESULTS; number++) {
      bundle.addEntry().setResource(result(name, number)).getRequest().setMethod(HTTPVerb.POST).setUrl("Observation");
    }
    Bundle answer = client.transaction().withBundle(bundle).execute();
    same(BundleType.TRANSACTIONRESPONSE, answer.getType());
    same(RESULTS + 1, answer.getEntry().size());
    IdType made = new IdType(answer.getEntryFirstRep().getResponse().getLocation());
    same("1", made.getVersionIdPart());
    for (BundleEntryComponent entry : answer.getEntry().subList(1, RESULTS + 1)) {
      same("201 Created", entry.getResponse().getStatus());
      Observation found = client.read().resource(Observation.class)
          .withId(new IdType(entry.getResponse().getLocation()).getIdPart()).execute();
      same("Patient/" + made.getIdPart(), found.getSubject().getReference());
    }
    patient = client.read().resource(Patient.class).withId(made.getIdPart()).execute();
  }

  /** Here the client makes the entries: without a url, or with that of the version that was read. */
  private void transactionOfResources() {
    Patient own = named("resources");
    own.setId("Patient/hapi-resources");
    List<IBaseResource> made = client.transaction().withResources(List.of(named("resources"), own)).execute();
    same(List.of("1", "1"), made.stream().map(each -> each.getIdElement().getVersionIdPart()).toList());
    same("hapi-resources", made.get(1).getIdElement().getIdPart());
    Patient found = (Patient) client.search().byUrl("Patient?_id=hapi-resources").returnBundle(Bundle.class).execute()
        .getEntryFirstRep().getResource();
    made = client.transaction().withResources(List.of(found.setActive(true))).execute();
    same("2", made.get(0).getIdElement().getVersionIdPart());
    refused(PreconditionFailedException.class, () ->
        client.transaction().withResources(List.of(found.setActive(false))).execute());
  }

  private void batch() {
    Bundle bundle = new Bundle().setType(BundleType.BATCH);
    for (String url : List.of(patient.getIdElement().toUnqualifiedVersionless().getValue(), "Patient/nobody")) {
      bundle.addEntry().getRequest().setMethod(HTTPVerb.GET).setUrl(url);
    }
    List<BundleEntryComponent> answers = client.transaction().withBundle(bundle).execute().getEntry();
    same(patient.getIdPart(), answers.get(0).getResource().getIdPart());
    same("404", answers.get(1).getResponse().getStatus());
    same(true, hasErrors((OperationOutcome) answers.get(1).getResponse().getOutcome()));
  }

  private void search() {
    Bundle found = results().count(2).include(Observation.INCLUDE_SUBJECT).sort().ascending(Observation.DATE).execute();
    List<SearchEntryMode> modes = found.getEntry().stream().map(each -> each.getSearch().getMode()).toList();
    same(List.of(SearchEntryMode.MATCH, SearchEntryMode.MATCH, SearchEntryMode.INCLUDE), modes);
    same(List.of("result 0", "result 1"), texts(found).subList(0, 2));
    Bundle last = results().sort().descending(Observation.DATE).execute();
    same("result 4", texts(last).get(0));
    Bundle posted = results().usingStyle(SearchStyleEnum.POST).execute();
    same(RESULTS, posted.getEntry().size());
    Bundle chained = client.search().forResource(Observation.class)
        .where(Observation.SUBJECT.hasChainedProperty("Patient",
            Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "transaction")))
        .and(Observation.DATE.afterOrEquals().day("2026-03-04")).returnBundle(Bundle.class).execute();
    same(2, chained.getEntry().size());
    Date made = patient.getMeta().getLastUpdated();
    same(RESULTS, results().lastUpdated(new DateRangeParam(made, null)).execute().getEntry().size());
    same(0, results().lastUpdated(new DateRangeParam(null, new Date(made.getTime() - 1))).execute().getEntry().size());
    Bundle of = client.search().forResource(Patient.class).where(Patient.RES_ID.exactly().code(patient.getIdPart()))
        .revInclude(Observation.INCLUDE_SUBJECT).returnBundle(Bundle.class).execute();
    same(RESULTS + 1, of.getEntry().size());
    Bundle byUrl = client.search().byUrl("Patient?identifier=" + SYSTEM + "|transaction").returnBundle(Bundle.class)
        .execute();
    same(patient.getIdPart(), byUrl.getEntryFirstRep().getResource().getIdPart());
  }

  private void pages() {
    Set<String> seen = new HashSet<>();
    Bundle page = results().count(2).execute();
    int pages = 1;
    page.getEntry().forEach(entry -> seen.add(entry.getResource().getIdPart()));
    while (page.getLink(IBaseBundle.LINK_NEXT) != null) {
      page = client.loadPage().next(page).execute();
      page.getEntry().forEach(entry -> seen.add(entry.getResource().getIdPart()));
      pages++;
    }
    same(3, pages);
    same(RESULTS, seen.size());
  }

  private void totals() {
    Bundle accurate = results().count(1).totalMode(SearchTotalModeEnum.ACCURATE).execute();
    same(RESULTS, accurate.getTotal());
    Bundle count = results().summaryMode(SummaryEnum.COUNT).execute();
    same(RESULTS, count.getTotal());
    same(false, count.hasEntry());
  }

  private void parts() {
    Bundle found = results().elementsSubset("status").execute();
    Observation part = (Observation) found.getEntryFirstRep().getResource();
    same(ObservationStatus.FINAL, part.getStatus());
    same(false, part.hasSubject());
    same("SUBSETTED", part.getMeta().getTagFirstRep().getCode());
    refused(UnprocessableEntityException.class, () -> client.update().resource(part).execute());
    Bundle data = results().summaryMode(SummaryEnum.DATA).execute();
    same(RESULTS, data.getEntry().size());
  }

  private void history() {
    IIdType id = patient.getIdElement().toUnqualifiedVersionless();
    patient.setActive(true);
    client.update().resource(patient).execute();
    Bundle past = client.history().onInstance(id).returnBundle(Bundle.class).execute();
    same(BundleType.HISTORY, past.getType());
    same(List.of("2", "1"), past.getEntry().stream()
        .map(each -> each.getResource().getIdElement().getVersionIdPart()).toList());
    same(List.of(HTTPVerb.PUT, HTTPVerb.POST), past.getEntry().stream()
        .map(each -> each.getRequest().getMethod()).toList());
    Bundle page = client.history().onInstance(id).returnBundle(Bundle.class).count(1).execute();
    same("1", client.loadPage().next(page).execute().getEntryFirstRep().getResource().getMeta().getVersionId());
    Bundle since = client.history().onInstance(id).returnBundle(Bundle.class)
        .since(past.getEntryFirstRep().getResource().getMeta().getLastUpdated()).execute();
    same("2", since.getEntryFirstRep().getResource().getMeta().getVersionId());
    Bundle type = client.history().onType(Patient.class).returnBundle(Bundle.class).count(1).execute();
    same(patient.getIdPart(), type.getEntryFirstRep().getResource().getIdPart());
  }

  private void validate() {
    MethodOutcome right = client.validate().resource(result("Patient/" + patient.getIdPart(), 0)).execute();
    same(false, hasErrors((OperationOutcome) right.getOperationOutcome()));
    MethodOutcome wrong = client.validate().resource(without()).execute();
    same(true, hasErrors((OperationOutcome) wrong.getOperationOutcome()));
  }

  private void everything() {
    IIdType id = patient.getIdElement().toUnqualifiedVersionless();
    Bundle got = client.operation().onInstance(id).named("$everything").withNoParameters(Parameters.class)
        .useHttpGet().returnResourceType(Bundle.class).execute();
    same(RESULTS + 1, got.getEntry().size());
    Parameters posted = client.operation().onInstance(id).named("$everything").withNoParameters(Parameters.class)
        .execute();
    same(RESULTS + 1, ((Bundle) posted.getParameterFirstRep().getResource()).getEntry().size());
    Bundle types = client.operation().onInstance(id).named("$everything")
        .withParameter(Parameters.class, "_type", new StringType("Observation"))
        .returnResourceType(Bundle.class).execute();
    same(RESULTS, types.getEntry().size());
  }

  private void invalid() {
    OperationOutcome outcome = refused(UnprocessableEntityException.class, () ->
        client.create().resource(without()).execute());
    OperationOutcomeIssueComponent issue = outcome.getIssueFirstRep();
    same(IssueSeverity.ERROR, issue.getSeverity());
    same(IssueType.STRUCTURE, issue.getCode());
    same("Observation", issue.getExpression().get(0).getValue());
  }

  private void delete() {
    client.delete().resourceById(patient.getIdElement().toUnqualifiedVersionless()).execute();
    refused(ResourceGoneException.class, () ->
        client.read().resource(Patient.class).withId(patient.getIdPart()).execute());
    client.delete().resourceConditionalByType(Patient.class)
        .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, "three")).execute();
    Bundle past = client.history().onInstance(patient.getIdElement().toUnqualifiedVersionless())
        .returnBundle(Bundle.class).execute();
    same(HTTPVerb.DELETE, past.getEntryFirstRep().getRequest().getMethod());
    refused(ResourceGoneException.class, () ->
        client.read().resource(Patient.class).withId(patient.getIdPart()).execute());
  }

  private void unknown() {
    refused(ResourceNotFoundException.class, () ->
        client.read().resource(Patient.class).withId("nobody").execute());
    refused(ResourceNotFoundException.class, () ->
        client.read().resource(Patient.class).withIdAndVersion(patient.getIdPart(), "99").execute());
  }

  private IQuery<Bundle> results() {
    return client.search().forResource(Observation.class)
        .where(Observation.SUBJECT.hasId("Patient/" + patient.getIdPart())).returnBundle(Bundle.class);
  }

  private void step(String name, Runnable work) {
    work.run();
    System.out.println(name);
  }

  private static Patient named(String value) {
    Patient patient = new Patient();
    patient.addIdentifier().setSystem(SYSTEM).setValue(value);
    return patient;
  }

  private static Observation result(String subject, int number) {
    Observation observation = new Observation().setStatus(ObservationStatus.FINAL);
    observation.getCode().setText("result " + number);
    observation.getSubject().setReference(subject);
    observation.setEffective(new DateTimeType("2026-03-0" + (number + 1)));
    return observation;
  }

  /** An Observation without its status, which R4 forbids. */
  private static Observation without() {
    return result("Patient/nobody", 0).setStatus(null);
  }

  private static List<String> texts(Bundle bundle) {
    return bundle.getEntry().stream().map(BundleEntryComponent::getResource)
        .filter(Observation.class::isInstance).map(each -> ((Observation) each).getCode().getText()).toList();
  }

  private static boolean hasErrors(OperationOutcome outcome) {
    return outcome.getIssue().stream().anyMatch(each -> each.getSeverity() == IssueSeverity.ERROR);
  }

  private static void same(Object expected, Object found) {
    if (!Objects.equals(expected, found)) {
      throw new AssertionError("expected " + expected + ", found " + found);
    }
  }

  /** The OperationOutcome that a refusal of this kind carries. */
  private static OperationOutcome refused(Class<? extends BaseServerResponseException> kind, Runnable work) {
    try {
      work.run();
    } catch (BaseServerResponseException refusal) {
      if (!kind.isInstance(refusal)) {
        throw refusal;
      }
      return (OperationOutcome) refusal.getOperationOutcome();
    }
    throw new AssertionError("expected " + kind.getSimpleName());
  }
}
