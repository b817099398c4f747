package org.openapitools.jackson.nullable;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.BeanProperty;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.SerializationConfig;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.deser.ContextualDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.BeanPropertyWriter;
import com.fasterxml.jackson.databind.ser.BeanSerializerModifier;
import com.fasterxml.jackson.databind.ser.std.StdSerializer;
import java.io.IOException;
import java.util.List;

/** Writes what is present, null too, and leaves out what is not. */
public class JsonNullableModule extends SimpleModule {
  public JsonNullableModule() {
    addSerializer(new Serializer());
    addDeserializer(JsonNullable.class, new Deserializer(null));
    setSerializerModifier(new LeaveOutUndefined());
  }

  private static final class Serializer extends StdSerializer<JsonNullable<?>> {
    Serializer() {
      super(JsonNullable.class, false);
    }

    @Override
    public void serialize(JsonNullable<?> value, JsonGenerator to, SerializerProvider with) throws IOException {
      with.defaultSerializeValue(value.orElse(null), to);
    }
  }

  private static final class LeaveOutUndefined extends BeanSerializerModifier {
    @Override
    public List<BeanPropertyWriter> changeProperties(
        SerializationConfig config, BeanDescription bean, List<BeanPropertyWriter> properties) {
      properties.replaceAll(p -> p.getType().hasRawClass(JsonNullable.class) ? new Optional(p) : p);
      return properties;
    }
  }

  private static final class Optional extends BeanPropertyWriter {
    Optional(BeanPropertyWriter base) {
      super(base);
    }

    @Override
    public void serializeAsField(Object bean, JsonGenerator to, SerializerProvider with) throws Exception {
      if (get(bean) instanceof JsonNullable<?> value && value.isPresent()) {
        super.serializeAsField(bean, to, with);
      }
    }
  }

  private static final class Deserializer extends JsonDeserializer<JsonNullable<?>> implements ContextualDeserializer {
    private final JavaType inner;

    Deserializer(JavaType inner) {
      this.inner = inner;
    }

    @Override
    public JsonDeserializer<?> createContextual(DeserializationContext context, BeanProperty property) {
      JavaType whole = property == null ? context.getContextualType() : property.getType();
      return new Deserializer(whole.containedTypeOrUnknown(0));
    }

    @Override
    public JsonNullable<?> deserialize(JsonParser from, DeserializationContext context) throws IOException {
      return JsonNullable.of(context.readValue(from, inner));
    }

    @Override
    public JsonNullable<?> getNullValue(DeserializationContext context) {
      return JsonNullable.of(null);
    }
  }
}
