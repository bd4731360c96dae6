import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.Set;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.validation.ValidationEngine;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;
import org.hl7.fhir.validation.service.model.InstanceValidatorParameters;

/**
 * Judges resources by HL7's validator: a question a line in, an answer a line out, both JSON.
 * The arguments are packages to know; a question has a text and perhaps profiles.
 */
public class Judge {
  static class Question {
    String text;
    List<String> profiles = List.of();
  }

  private static ValidationEngine engine(String[] packages) throws Exception {
    var settings = new InstanceValidatorParameters();
    settings.setBestPracticeLevel(BestPracticeWarningLevel.Ignore);
    settings.setAllowExampleUrls(true);
    settings.setExtensions(List.of("any"));
    var engine = new ValidationEngine.ValidationEngineBuilder()
        .withVersion("4.0.1")
        .withNoTerminologyServer()
        .withCanRunWithoutTerminologyServer(true)
        .withThoVersion(null)
        .withExtensionsVersion(null)
        .withDefaultInstanceValidatorParameters(settings)
        .fromSource("hl7.fhir.r4.core#4.0.1");
    var never = new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of());
    engine.setPolicyAdvisor(never);
    for (var each : packages) {
      engine.getIgLoader().loadIg(engine.getIgs(), engine.getBinaries(), each, true);
    }
    return engine;
  }

  private static Map<String, Object> told(ValidationMessage message) {
    Map<String, Object> issue = new LinkedHashMap<>();
    issue.put("severity", message.getLevel().toCode());
    issue.put("code", message.getType() == null ? null : message.getType().toCode());
    issue.put("expression", message.getLocation());
    issue.put("rule", message.getMessageId());
    issue.put("text", message.getMessage());
    return issue;
  }

  private static Map<String, Object> judged(ValidationEngine engine, Question question) {
    Map<String, Object> answer = new LinkedHashMap<>();
    var began = System.nanoTime();
    try {
      List<ValidationMessage> messages = new ArrayList<>();
      var bytes = question.text.getBytes(StandardCharsets.UTF_8);
      engine.validate(bytes, FhirFormat.JSON, question.profiles, messages);
      answer.put("issues", messages.stream().map(Judge::told).toList());
    } catch (Throwable crash) {
      answer.put("crash", crash.toString());
    }
    answer.put("microseconds", (System.nanoTime() - began) / 1000);
    return answer;
  }

  public static void main(String[] packages) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err); // the engine chats
    var engine = engine(packages);
    Gson gson = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    var lines = new Scanner(System.in, StandardCharsets.UTF_8);
    while (lines.hasNextLine()) {
      out.println(gson.toJson(judged(engine, gson.fromJson(lines.nextLine(), Question.class))));
    }
    System.exit(0);
  }
}
