package javax.annotation;

/** Marks generated code: the one annotation of jakarta.annotation-api 1.3 that generated clients use. */
public @interface Generated {
  String[] value();

  String date() default "";

  String comments() default "";
}
